"""The database role that the application runs as: it appends by our functions, and can do nothing
else to the log."""

from collections.abc import Iterable

from psycopg import sql

from .connection import compose, execute, rows

# A superuser, and whoever owns the log or may become who owns it: nothing that is taken from them
# stays taken.
ABOVE = """
    SELECT EXISTS (
        SELECT FROM pg_roles, pg_class
        WHERE rolname = %s AND pg_class.oid = 'eventstore_event'::regclass
          AND (rolsuper OR pg_has_role(pg_roles.oid, relowner, 'MEMBER'))
    )
"""
EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)"
MAY_MAKE_ROLES = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
MAY_USE_SCHEMA = "SELECT has_schema_privilege(%s, current_schema(), 'USAGE')"
CREATE = "CREATE ROLE {role} LOGIN"
PASSWORD = "ALTER ROLE {role} PASSWORD {password}"

# What is the project's own in the schema: not what an extension or somebody else has put there,
# whose rights are theirs to give.
RELATIONS = """
    SELECT pg_class.oid::regclass::text
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND relkind = ANY(%s) AND pg_has_role(relowner, 'USAGE')
      AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
            AND deptype = 'e'
      )
    ORDER BY 1
"""
FUNCTIONS = """
    SELECT pg_proc.oid::regprocedure::text
    FROM pg_proc
    JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname = current_schema() AND prokind = 'f' AND pg_has_role(proowner, 'USAGE')
      AND proname <> ALL(%s)
      AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid
            AND deptype = 'e'
      )
    ORDER BY 1
"""
TABLES, SEQUENCES = ["r", "p", "v", "m"], ["S"]
# Parts of the append functions; who calls them by themselves takes locks of the fence for nothing.
PARTS = ["eventstore_take_fence", "eventstore_lock_condition"]

GRANTS = (
    ("GRANT SELECT, INSERT, UPDATE, DELETE ON {each} TO {role}", RELATIONS, TABLES),
    ("GRANT USAGE, SELECT ON SEQUENCE {each} TO {role}", RELATIONS, SEQUENCES),
    ("GRANT EXECUTE ON FUNCTION {each} TO {role}", FUNCTIONS, PARTS),
)
REVOKES = (
    "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON eventstore_event FROM {role}",
    "REVOKE INSERT, UPDATE, TRUNCATE ON eventstore_outbox FROM {role}",
    "REVOKE USAGE, UPDATE ON SEQUENCE eventstore_position FROM {role}",
    "REVOKE UPDATE, DELETE, TRUNCATE ON eventstore_operator_action FROM {role}",
    (
        "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON eventstore_epoch, eventstore_epoch_mark FROM"
        " {role}"
    ),
    "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
)

# Those of one number, as the fence's locks are. Of two numbers, nothing of ours is held up by.
LOCKING = """
    SELECT oid::regprocedure::text
    FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND pronargs = 1
        AND proname LIKE 'pg\\_%%advisory\\_%%lock%%'
      AND proname NOT LIKE '%%unlock%%'
    ORDER BY 1
"""
MAY_FORBID_LOCKING = (
    "SELECT pg_has_role(proowner, 'USAGE') FROM pg_proc WHERE oid ="
    " 'pg_advisory_lock(bigint)'::regprocedure"
)
MAY_LOCK = "SELECT has_function_privilege(%s, 'pg_advisory_lock(bigint)', 'EXECUTE')"
OWNER = "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'eventstore_event'::regclass"


class AboveTheLog(ValueError):
    """The role could change the log whatever it is forbidden."""


class NoSuchRole(LookupError):
    """There is no role of that name, and whoever is connected may not make one."""


def create(role: str, *, password: str | None = None) -> None:
    """Make the role, or bring its rights up to date after a migration. Needs a connection as the
    tables' owner.

    Rebuilding a projection makes and drops tables, so it is run as the owner, as migrations are.
    Raises AboveTheLog, NoSuchRole.
    """
    if rows(ABOVE, [role]) == [(True,)]:
        raise AboveTheLog(
            f"{role} owns the log or is a superuser, so it can change it; the application needs"
            " another."
        )
    _make(role, password)
    if rows(MAY_USE_SCHEMA, [role]) == [(False,)]:
        _say(
            "GRANT USAGE ON SCHEMA {each} TO {role}",
            role,
            [_identifier(rows("SELECT current_schema()")[0][0])],
        )
    for grant, objects, kinds in GRANTS:
        _say(grant, role, [name for (name,) in rows(objects, [kinds])])
    for revoke in REVOKES:
        _say(revoke, role, [""])


def forbid_locking() -> bool:
    """Let nobody but the log's owner take advisory locks of one number; whether that could be said.

    Else any role of the database can hold a lock in the fence's numbers, and every reader with it.
    Only a superuser can forbid it, and only for all: PostgreSQL grants it to everybody.
    """
    if rows(MAY_FORBID_LOCKING) == [(False,)]:
        return False
    for statement in locking_forbidden():
        execute(statement).close()
    return True


def may_lock(role: str) -> bool:
    """Whether the role can take advisory locks of one number."""
    return rows(MAY_LOCK, [role]) == [(True,)]


def locking_forbidden() -> list[str]:
    """The statements by which a superuser forbids it."""
    functions, ((owner,),) = ", ".join(name for (name,) in rows(LOCKING)), rows(OWNER)
    return [
        f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {functions} TO {owner}",
    ]


def _make(role: str, password: str | None) -> None:
    if rows(EXISTS, [role]) == [(False,)]:
        if rows(MAY_MAKE_ROLES) == [(False,)]:
            raise NoSuchRole(
                "permission denied to create role. Let who may do so say CREATE ROLE"
                f" {_identifier(role)} LOGIN; then run this again."
            )
        _say(CREATE, role, [""])
    if password is not None:
        execute(
            compose(PASSWORD, role=sql.Identifier(role), password=sql.Literal(password))
        ).close()


def _say(statement: str, role: str, objects: Iterable[str]) -> None:
    """Once for each of the objects, whose names come from the catalog and are quoted there."""
    for name in objects:
        execute(compose(statement, role=sql.Identifier(role), each=sql.SQL(name))).close()


def _identifier(name: str) -> str:
    return compose("{name}", name=sql.Identifier(name))
