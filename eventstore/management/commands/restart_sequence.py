"""manage.py restart_sequence: put the sequence of positions ahead of the log, as after a restore
without sequences."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from eventstore.log import restart_sequence


class Command(BaseCommand):
    help = (
        "Let the sequence of positions go on where log, outbox and cursors end. Changes nothing if"
        " it is not behind."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            stood = restart_sequence()
        except ProgrammingError as error:
            raise CommandError(
                f"Run this as the owner of the tables: {str(error).splitlines()[0]}"
            ) from error
        if stood.is_behind:
            self.stdout.write(
                f"The sequence stood at {stood.last}; it goes on behind {stood.reached}."
            )
        else:
            self.stdout.write(f"The sequence stands at {stood.last}, and nothing lies ahead of it.")
