"""manage.py app_role NAME: the least-privileged database role that the application runs as."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import ProgrammingError, transaction

from eventstore.management.command import EscapingCommand
from eventstore.postgres import app_role


class Command(EscapingCommand):
    help = (
        "Create or update the role that may append events, but neither change nor delete them."
        " Run it again after migrations."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--password", action="store_true", help="ask for a password and set it")
        parser.add_argument(
            "--keep-advisory-locks",
            action="store_true",
            help="let every role of the database keep pg_advisory_lock(bigint) and its relatives",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        password = getpass.getpass("Password of the role: ") if options["password"] else None
        try:
            with transaction.atomic():
                app_role.create(name, password=password)
                if not options["keep_advisory_locks"]:
                    app_role.forbid_locking()
        except app_role.AboveTheLog as error:
            raise CommandError(str(error)) from error
        except (app_role.NoSuchRole, ProgrammingError) as error:
            raise CommandError(f"Creating the role failed: {str(error).splitlines()[0]}") from error
        self.stdout.write(f"{name} may append to the log, but neither change nor delete events.")
        if app_role.may_lock(name):
            self.stdout.write(
                "Like any role of this database it may take advisory locks, which can block every"
                " reader of the log; manage.py doctor names the holder. As a superuser, run:\n "
                f" {';'.join(app_role.locking_forbidden())};"
            )
