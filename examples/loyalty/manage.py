#!/usr/bin/env python
import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line


def main() -> None:
    # Instead of this folder, the repository, which contains eventstore: it need not be installed.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    # The shop's shell may name the shop's settings.
    os.environ["DJANGO_SETTINGS_MODULE"] = "examples.loyalty.settings"
    from eventstore.management.output import ends_quietly

    with ends_quietly():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
