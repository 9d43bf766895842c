"""Settings of the server, the database or the role that break guarantees: durability, isolation,
disabled triggers."""

from functools import partial

from eventstore import settings
from eventstore.postgres import rows

from .guarantee import SERVER, Guarantee

SWITCHED_OFF = """
    SELECT name
    FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
    WHERE current_setting(name) = 'off'
"""
# Our connections set the isolation themselves; behind a pooler the setting may not arrive.
ISOLATION = """
    SELECT isolation
    FROM current_setting('default_transaction_isolation') AS isolation
    WHERE isolation NOT IN ('read committed', 'read uncommitted')
"""
# Applies to clients without our OPTIONS: psql, scripts, other services.
ISOLATION_OF_OTHERS = """
    SELECT split_part(setting, '=', 2),
           CASE WHEN rolname IS NULL THEN format('DATABASE %%I', datname)
                WHEN datname IS NULL THEN format('ROLE %%I', rolname)
                ELSE format('ROLE %%I IN DATABASE %%I', rolname, datname) END
    FROM pg_db_role_setting
    CROSS JOIN unnest(setconfig) AS setting
    LEFT JOIN pg_database ON pg_database.oid = setdatabase
    LEFT JOIN pg_roles ON pg_roles.oid = setrole
    WHERE starts_with(setting, 'default_transaction_isolation=')
      AND split_part(setting, '=', 2) NOT IN ('read committed', 'read uncommitted')
      AND (setdatabase = 0 OR datname = current_database())
      AND (setrole = 0 OR rolname = current_user)
"""
REPLICA = (
    "SELECT role FROM current_setting('session_replication_role') AS role WHERE role = 'replica'"
)

GUARANTEES = (
    Guarantee(
        finding="unsafe-settings",
        id="eventstore.E031",
        needs=SERVER,
        look=partial(rows, SWITCHED_OFF),
        what="PostgreSQL runs with {0} off: a crash would lose acknowledged writes.",
        culprit="{0}",
        why="A crash loses acknowledged writes.",
        mend="ALTER SYSTEM SET {0} = on; ALTER DATABASE … RESET {0}; SELECT pg_reload_conf();",
        waiver="ALLOW_UNSAFE_DATABASE",
        waived=settings.allow_unsafe_database,
    ),
    Guarantee(
        finding="isolation",
        id="eventstore.E032",
        needs=SERVER,
        look=partial(rows, ISOLATION),
        what="Single statements run as {0} instead of read committed.",
        culprit="default_transaction_isolation of the server, the database or the role",
        why=(
            "The log is read and written in read committed only: each statement is refused, and"
            " repeated in a transaction."
        ),
        mend=(
            "ALTER DATABASE … RESET default_transaction_isolation; ALTER ROLE … RESET"
            " default_transaction_isolation;"
        ),
    ),
    Guarantee(
        finding="isolation-of-others",
        id="eventstore.W032",
        needs=SERVER,
        look=partial(rows, ISOLATION_OF_OTHERS),
        what="Connections without our OPTIONS begin transactions as {0}.",
        culprit="default_transaction_isolation of {1}",
        why=(
            "Our own connections set the isolation themselves. Other clients that append, or read"
            " up to the fence, are refused."
        ),
        mend="ALTER {1} RESET default_transaction_isolation;",
        stops=False,
    ),
    Guarantee(
        finding="replication-role",
        id="eventstore.E033",
        needs=SERVER,
        look=partial(rows, REPLICA),
        what="Our connections run as a replica: triggers and foreign keys are off.",
        culprit="session_replication_role = {0}",
        why="Rules of the tables are not enforced, without any error.",
        mend=(
            "ALTER DATABASE … RESET session_replication_role; ALTER ROLE … RESET"
            " session_replication_role;"
        ),
    ),
)
