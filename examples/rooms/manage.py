#!/usr/bin/env python
import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line


def main() -> None:
    # Instead of this folder, the one that contains `examples`.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    os.environ["DJANGO_SETTINGS_MODULE"] = "examples.rooms.settings"
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
