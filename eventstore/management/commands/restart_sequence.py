"""manage.py restart_sequence: move the sequence of positions past the end of the log.

Needed after a restore that did not restore sequences.
"""

from typing import Any

from django.core.management.base import CommandError
from django.db import ProgrammingError

from eventstore.log import restart_sequence
from eventstore.management.command import EscapingCommand


class Command(EscapingCommand):
    help = (
        "Move the sequence of positions past the end of log, outbox and cursors. Changes nothing if"
        " it is not behind."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = restart_sequence()
        except ProgrammingError as error:
            raise CommandError(
                f"Run this as the owner of the tables: {str(error).splitlines()[0]}"
            ) from error
        if found.is_behind:
            self.stdout.write(
                f"The sequence was at {found.last}; it continues after {found.reached}."
            )
        else:
            self.stdout.write(f"The sequence is at {found.last}; it is not behind.")
