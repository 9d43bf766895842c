"""Change data capture on request: CDC=1 starts Kafka Connect with Debezium beside Kafka."""

from collections.abc import Mapping
from pathlib import Path

import psycopg

from tools.devserver import account, connect, programs, services
from tools.devserver.connect import Connect
from tools.devserver.environment import CDC, CDC_SLOT, CONNECT, DATABASE, KAFKA, given
from tools.devserver.errors import LauncherError
from tools.devserver.services import Services
from tools.devserver.supervisor import Supervisor
from tools.devserver.terminal import say

PUBLICATIONS = ("orders", "payments", "inventory", "shipping")
REASON = "make run CDC=1"
HAS_SLOT = "SELECT FROM pg_replication_slots WHERE slot_name = %s"
BY_RELAY = "SELECT name FROM eventstore_relay WHERE way = 'cdc'"


def is_wanted() -> bool:
    return (given(CDC) or "0") != "0"


def start(path: Path, found: Services, supervisor: Supervisor) -> None:
    """Kafka Connect, in a claimed folder. found: has Kafka's address and the database's, if they
    were started here; gains Kafka Connect's. supervisor: stops it before the services.

    Raises LauncherError without Kafka or a database.
    """
    if not is_wanted() or given(CONNECT):
        return
    servers = found.settings.get(KAFKA) or given(KAFKA)
    database = found.settings.get(DATABASE) or given(DATABASE)
    if not servers:
        raise LauncherError(f"{CDC}=1 needs Kafka: add BROKERS=kafka, or set {KAFKA}")
    if not database:
        raise LauncherError(
            f"{CDC}=1 needs {DATABASE}: of the database whose integration outbox Debezium reads"
        )
    if absent := connect.missing():
        say(f"{connect.NAME} is not started: {absent} is missing")
        return
    owner = account.of_services()
    worker = Connect(servers, database, _slot())
    port = services.start(worker, path, account.home(path, owner), owner, supervisor.children)
    found.settings[CONNECT] = connect.url(port)


def hand_over(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    """Slot, connector, and all publications: once, as the state is in the database."""
    if not is_wanted() or not environment.get(CONNECT):
        return
    if supervisor.run(programs.manage("cdc", "cdc", "create", environment=environment)):
        say("change data capture could not be prepared, see above; the relays publish")
        return
    connect.post(environment[CONNECT])
    with psycopg.connect(environment[DATABASE], autocommit=True) as connection:
        done = {name for (name,) in connection.execute(BY_RELAY)}
    for name in PUBLICATIONS:
        if f"{name}.published@kafka" not in done:
            arguments = ("broker_handover", f"{name}.published", "cdc", f"--reason={REASON}")
            supervisor.run(programs.manage("cdc", *arguments, environment=environment))


def post_or_say_how(found: Services) -> None:
    """The connector, if `manage.py cdc create` has made its slot: Debezium would make one of its
    own, behind what was written before."""
    address, database = found.settings.get(CONNECT), found.settings.get(DATABASE) or given(DATABASE)
    if not address or not database:
        return
    with psycopg.connect(database, autocommit=True) as connection:
        has_slot = connection.execute(HAS_SLOT, [_slot()]).fetchone() is not None
    if has_slot:
        connect.post(address)
        say(f"posted {connect.CONNECTOR.name}")
        return
    say("Debezium has no slot yet; with the addresses above:")
    say(f"  .venv/bin/python manage.py cdc create && {connect.how_to_post(address)}")
    say('  .venv/bin/python manage.py broker_handover orders.published cdc --reason "…"')


def _slot() -> str:
    return given(CDC_SLOT) or connect.SLOT
