"""manage.py cdc create|status|drop: the replication slot and publication that Debezium reads."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit
from eventstore.management.command import EscapingCommand
from eventstore.messaging.transport import BrokerProblem
from eventstore.operations import cdc, control
from eventstore.operations.cdc import State


class Command(EscapingCommand):
    help = (
        "Make, show or drop the replication slot and the publication by which Debezium reads the"
        " integration outbox. Repeating it changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make what is missing; as the tables' owner")
        create.add_argument("--reason", default="", help="for the audit log")
        status = actions.add_parser("status", help="exit code 1 when Debezium cannot read")
        status.add_argument("--json", action="store_true")
        drop = actions.add_parser("drop", help="drop slot and publication")
        drop.add_argument("--reason", default="", help="for the audit log")
        drop.add_argument("--force", action="store_true", help="although publications need them")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except (control.OperationRefused, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from None
        except BrokerProblem as error:
            raise CommandError(f"{type(error).__name__}: {error}") from None

    def _create(self, options: dict[str, Any]) -> None:
        done = cdc.create(who=getpass.getuser(), reason=options["reason"])
        for each in done:
            self.stdout.write(f"made {each}")
        self.stdout.write("Debezium can read the integration outbox.")

    def _drop(self, options: dict[str, Any]) -> None:
        cdc.drop(who=getpass.getuser(), reason=options["reason"], force=options["force"])
        self.stdout.write("There is neither slot nor publication.")

    def _status(self, options: dict[str, Any]) -> None:
        state = cdc.state()
        problem = cdc.problem(state.slot, state.is_published)
        if options["json"]:
            self.stdout.write(codec.encode_json(_figures(state, problem)).decode())
        else:
            self.stdout.write("\n".join(_lines(state)))
        failed = state.connector is not None and state.connector.failed
        if problem or failed or state.unreachable:
            raise CommandError(
                problem or state.unreachable or "A task of the connector has failed."
            )


def _figures(state: State, problem: str) -> dict[str, Any]:
    found = state.connector
    return {
        "problem": problem,
        "slot": state.slot._asdict() if state.slot else None,
        "server": state.server._asdict(),
        "publications": [each._asdict() for each in state.ways],
        "connector": found
        and {"state": found.state, "tasks": [each._asdict() for each in found.tasks]},
        "unreachable": state.unreachable,
    }


def _lines(state: State) -> list[str]:
    lines = [f"wal_level {state.server.wal_level}, slot and publication {state.name}"]
    if slot := state.slot:
        safe = "no limit" if slot.safe_bytes is None else f"{slot.safe_bytes >> 20} MiB more"
        lines.append(
            f"  {'read' if slot.is_active else 'not read'}, wal_status {slot.wal_status},"
            f" {slot.lag} bytes behind, keeps {slot.held >> 20} MiB of WAL ({safe})"
        )
    for each in state.ways:
        pending = f", {each.pending} messages not passed" if each.way != "relay" else ""
        lines.append(f"  {each.name} leaves by {each.way}{pending}")
    if state.connector is not None:
        lines.append(f"  connector {state.connector.state or 'does not exist: post its file'}")
        for task in state.connector.tasks:
            lines.append(f"    task {task.number} {task.state} {task.trace}".rstrip())
    return lines
