"""manage.py app_role NAME: the least-privileged database role that the application runs as."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, transaction

from eventstore import roles


class Command(BaseCommand):
    help = "Make the role that may append to the log and neither change nor remove events; again after migrations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--password", action="store_true", help="ask for a password and set it")

    def handle(self, *args: Any, **options: Any) -> None:
        password = getpass.getpass("Password of the role: ") if options["password"] else None
        try:
            with transaction.atomic():
                roles.create(options["name"], password=password)
        except roles.AboveTheLog as error:
            raise CommandError(str(error)) from error
        except ProgrammingError as error:
            raise CommandError(f"The role could not be made: {str(error).splitlines()[0]}") from error
        self.stdout.write(f"{options['name']} may append to the log, and not change or remove what is in it.")
