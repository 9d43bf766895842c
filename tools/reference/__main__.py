"""make reference: write docs/reference."""

import django


def main() -> None:
    django.setup()
    from tools.reference import pages  # its pages import models

    for name, text in pages.pages().items():
        (pages.FOLDER / name).write_text(text)


main()
