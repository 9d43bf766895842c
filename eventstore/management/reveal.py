"""The option `--reveal REASON` of commands: show personal data, and record who sees it and why."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore.log import audit
from eventstore.privacy import personal_data


def add_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--reveal", metavar="REASON", help="show personal data; the reason goes into the audit log"
    )


def is_revealed(options: dict[str, Any], command: str, subject: str) -> bool:
    """Whether to show personal data. Raises CommandError for an empty reason."""
    if options["reveal"] is None:
        return False
    try:
        personal_data.reveal(
            getpass.getuser(), subject, reason=options["reveal"], details={"command": command}
        )
    except audit.ReasonMissing as error:
        raise CommandError(str(error)) from error
    return True
