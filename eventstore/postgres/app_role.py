"""The database role that the application connects as: it can append to the log through our
functions, and cannot change the log in any other way."""

from collections.abc import Iterable

from psycopg import sql

from .connection import compose, execute, rows

# Superusers, the owner of the log and its members: revoking a privilege from them has no effect.
IS_PRIVILEGED = """
    SELECT EXISTS (
        SELECT FROM pg_roles, pg_class
        WHERE rolname = %s AND pg_class.oid = 'eventstore_event'::regclass
          AND (rolsuper OR pg_has_role(pg_roles.oid, relowner, 'MEMBER'))
    )
"""
EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)"
MAY_CREATE_ROLES = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
MAY_USE_SCHEMA = "SELECT has_schema_privilege(%s, current_schema(), 'USAGE')"
CREATE = "CREATE ROLE {role} LOGIN"
PASSWORD = "ALTER ROLE {role} PASSWORD {password}"

# The project's own objects in the schema, without those of extensions or of other owners.
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
# Parts of the append functions. Called alone, they only take locks of the fence.
INTERNAL_FUNCTIONS = ["eventstore_take_fence", "eventstore_lock_condition"]

GRANTS = (
    ("GRANT SELECT, INSERT, UPDATE, DELETE ON {each} TO {role}", RELATIONS, TABLES),
    ("GRANT USAGE, SELECT ON SEQUENCE {each} TO {role}", RELATIONS, SEQUENCES),
    ("GRANT EXECUTE ON FUNCTION {each} TO {role}", FUNCTIONS, INTERNAL_FUNCTIONS),
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
    (
        "REVOKE UPDATE, DELETE, TRUNCATE ON eventstore_schema, eventstore_schema_reference FROM"
        " {role}"
    ),
    "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
)

# Advisory locks with one bigint key, as those of the fence. Locks with two keys cannot block us.
LOCK_FUNCTIONS = """
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
    """The role can change the log whatever is revoked from it."""


class NoSuchRole(LookupError):
    """The role does not exist, and the current user may not create roles."""


def create(role: str, *, password: str | None = None) -> None:
    """Create the role, or update its privileges after a migration. Needs a connection as the owner
    of the tables.

    Rebuilding a projection creates and drops tables, so it runs as the owner, as migrations do.
    Raises AboveTheLog, NoSuchRole.
    """
    if rows(IS_PRIVILEGED, [role]) == [(True,)]:
        raise AboveTheLog(
            f"{role} owns the log or is a superuser, so it can change the log. Use another role for"
            " the application."
        )
    if rows(EXISTS, [role]) == [(False,)]:
        if rows(MAY_CREATE_ROLES) == [(False,)]:
            raise NoSuchRole(
                "permission denied to create role. As a user who may create roles, run: CREATE ROLE"
                f" {_quote(role)} LOGIN; then run this command again."
            )
        _execute_for_each(CREATE, role, [""])
    if password is not None:
        execute(
            compose(PASSWORD, role=sql.Identifier(role), password=sql.Literal(password))
        ).close()
    if rows(MAY_USE_SCHEMA, [role]) == [(False,)]:
        ((schema,),) = rows("SELECT current_schema()")
        _execute_for_each("GRANT USAGE ON SCHEMA {each} TO {role}", role, [_quote(schema)])
    for grant, objects, kinds in GRANTS:
        _execute_for_each(grant, role, [name for (name,) in rows(objects, [kinds])])
    for revoke in REVOKES:
        _execute_for_each(revoke, role, [""])


def forbid_locking() -> bool:
    """Allow only the owner of the log to take advisory locks with one bigint key. Returns False if
    the current user may not change that.

    Otherwise any role of the database can hold a lock in the number range of the fence, and so
    block all readers. PostgreSQL grants these functions to PUBLIC, and only a superuser can revoke
    that.
    """
    if rows(MAY_FORBID_LOCKING) == [(False,)]:
        return False
    for statement in locking_forbidden():
        execute(statement).close()
    return True


def may_lock(role: str) -> bool:
    """Whether the role can take advisory locks with one bigint key."""
    return rows(MAY_LOCK, [role]) == [(True,)]


def locking_forbidden() -> list[str]:
    """The statements with which a superuser forbids it."""
    functions, ((owner,),) = ", ".join(name for (name,) in rows(LOCK_FUNCTIONS)), rows(OWNER)
    return [
        f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {functions} TO {owner}",
    ]


def _execute_for_each(statement: str, role: str, objects: Iterable[str]) -> None:
    """objects: names that are quoted already, as the catalog gives them."""
    for name in objects:
        execute(compose(statement, role=sql.Identifier(role), each=sql.SQL(name))).close()


def _quote(name: str) -> str:
    return compose("{name}", name=sql.Identifier(name))
