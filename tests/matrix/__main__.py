"""python -m tests.matrix: live through every cell and write docs/guide/matrix.md; read the
difference first."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-tests")
    django.setup()
    # Not before Django is set up: the wiring is read as it is imported.
    from . import page

    page.write()
