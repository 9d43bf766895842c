"""python -m tests.matrix: run every cell and write docs/guide/matrix.md; review the diff before you
commit it."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-tests")
    django.setup()
    # After django.setup(): importing it reads the wiring.
    from . import page

    page.write()
