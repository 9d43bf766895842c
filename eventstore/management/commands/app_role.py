"""manage.py app_role NAME: the least-privileged database role that the application runs as."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, transaction

from eventstore.postgres import app_role


class Command(BaseCommand):
    help = (
        "Make the role that may append to the log and neither change nor remove events; again after"
        " migrations."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--password", action="store_true", help="ask for a password and set it")
        parser.add_argument(
            "--keep-advisory-locks",
            action="store_true",
            help="leave pg_advisory_lock(bigint) and the like to every role of the database",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name, password = (
            options["name"],
            getpass.getpass("Password of the role: ") if options["password"] else None,
        )
        try:
            with transaction.atomic():
                app_role.create(name, password=password)
                if not options["keep_advisory_locks"]:
                    app_role.forbid_locking()
        except app_role.AboveTheLog as error:
            raise CommandError(str(error)) from error
        except (app_role.NoSuchRole, ProgrammingError) as error:
            raise CommandError(
                f"The role could not be made: {str(error).splitlines()[0]}"
            ) from error
        self.stdout.write(f"{name} may append to the log, and not change or remove what is in it.")
        if app_role.may_lock(name):
            self.stdout.write(
                "It may hold advisory locks, and so every reader of the log, as any role of this"
                " database may; manage.py doctor names who does. A superuser forbids it:\n "
                f" {';'.join(app_role.locking_forbidden())};"
            )
