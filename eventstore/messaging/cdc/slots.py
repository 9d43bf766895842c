"""The replication slot and the publication of PostgreSQL that Debezium reads the integration outbox
by."""

import json
from typing import NamedTuple

from psycopg import sql

from eventstore.postgres import compose, execute, rows

TABLE = "eventstore_integration_outbox"
PLUGIN = "pgoutput"
# The first release with slots that a standby keeps.
FAILOVER_VERSION = 170_000

SERVER = """
    SELECT current_setting('wal_level'), pg_is_in_recovery(),
           current_setting('server_version_num')::integer,
           (SELECT setting::bigint << 20 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
           current_setting('synchronous_standby_names')
"""
# As JSON: the columns differ between releases of PostgreSQL.
SLOT = """
    SELECT to_jsonb(slot)::text, database = current_database(),
           pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                    ELSE pg_current_wal_lsn() END,
               confirmed_flush_lsn
           )::bigint,
           pg_wal_lsn_diff(
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                    ELSE pg_current_wal_lsn() END,
               restart_lsn
           )::bigint
    FROM pg_replication_slots AS slot
    WHERE slot_name = %s
"""
PUBLICATION = """
    SELECT pubinsert AND NOT (pubupdate OR pubdelete OR pubtruncate) AND array[%s]::text[] = ARRAY(
        SELECT tablename::text FROM pg_publication_tables
        WHERE pg_publication_tables.pubname = publication.pubname
    )
    FROM pg_publication AS publication
    WHERE pubname = %s
"""
PUBLISH = "CREATE PUBLICATION {name} FOR TABLE {table} WITH (publish = 'insert')"
UNPUBLISH = "DROP PUBLICATION IF EXISTS {name}"
CREATE = "SELECT pg_create_logical_replication_slot(%s, %s)"
# So that a standby keeps it, and can take it over.
CREATE_FOR_FAILOVER = "SELECT pg_create_logical_replication_slot(%s, %s, failover => true)"
DROP = "SELECT pg_drop_replication_slot(%s)"
# A change that each slot reads, so that it passes everything before.
EMIT = "SELECT pg_logical_emit_message(true, 'heartbeat', '')"
PLACE = "SELECT pg_current_wal_insert_lsn()::text"
HAS_PASSED = """
    SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s
"""


class Server(NamedTuple):
    """wal_keep_bytes: how much WAL a slot may hold back; None for no limit. synchronous: the names
    of the standbys that commits wait for."""

    wal_level: str
    is_standby: bool
    version: int
    wal_keep_bytes: int | None
    synchronous: str = ""


class SlotState(NamedTuple):
    """lag: bytes of WAL that Debezium has not confirmed. held: bytes of WAL that the slot keeps.
    wal_status: reserved, extended, unreserved or lost. safe_bytes: how much more WAL may be written
    before it is lost; None for no limit. invalidation: why it was invalidated, or "".
    is_ours: made by `manage.py cdc create`, as far as the server can tell."""

    name: str
    plugin: str
    is_active: bool
    wal_status: str
    lag: int
    held: int
    safe_bytes: int | None
    invalidation: str
    is_ours: bool

    @property
    def is_lost(self) -> bool:
        return self.wal_status == "lost"


def server() -> Server:
    ((level, is_standby, version, keep, synchronous),) = rows(SERVER)
    limit = keep if keep is not None and keep >= 0 else None
    return Server(level, is_standby, version, limit, synchronous)


def state(name: str) -> SlotState | None:
    """None without a slot of that name."""
    found = rows(SLOT, [name])
    return _state(*found[0]) if found else None


def is_published(name: str) -> bool | None:
    """Whether the publication of PostgreSQL is as we make it; None without one."""
    found = rows(PUBLICATION, [TABLE, name])
    return bool(found[0][0]) if found else None


def create_publication(name: str) -> None:
    identifiers = {"name": sql.Identifier(name), "table": sql.Identifier(TABLE)}
    execute(compose(PUBLISH, **identifiers)).close()


def create(name: str, *, for_failover: bool) -> None:
    """Outside of a transaction that has written."""
    execute(CREATE_FOR_FAILOVER if for_failover else CREATE, [name, PLUGIN]).close()


def drop(name: str) -> None:
    """Also the publication; without either nothing happens."""
    if state(name) is not None:
        execute(DROP, [name]).close()
    execute(compose(UNPUBLISH, name=sql.Identifier(name))).close()


def place() -> str:
    """Of the WAL: what is visible now was committed before it."""
    ((found,),) = rows(PLACE)
    return str(found)


def has_passed(name: str, place: str) -> bool | None:
    """Whether Debezium has confirmed everything before the place; None without a slot. Writes a
    change, as a slot confirms only what it has read."""
    execute(EMIT).close()
    found = rows(HAS_PASSED, [place, name])
    return bool(found[0][0]) if found else None


def _state(text: str, is_here: bool, lag: int | None, held: int | None) -> SlotState:
    columns = json.loads(text)
    return SlotState(
        name=columns["slot_name"],
        plugin=columns["plugin"] or "",
        is_active=columns["active"],
        wal_status=columns["wal_status"] or "lost",
        lag=lag or 0,
        held=held or 0,
        safe_bytes=columns["safe_wal_size"],
        invalidation=columns.get("invalidation_reason") or "",
        is_ours=is_here and columns["plugin"] == PLUGIN and columns.get("failover") is not False,
    )
