"""The database role that the application runs as: it appends to the log and can do nothing else to it."""

from psycopg import sql

from .postgres import compose, execute, rows

# A superuser, and whoever owns the log or may become who owns it: nothing that is taken from them stays taken.
ABOVE = """
    SELECT EXISTS (
        SELECT FROM pg_roles, pg_class
        WHERE rolname = %s AND pg_class.oid = 'eventstore_event'::regclass
          AND (rolsuper OR pg_has_role(pg_roles.oid, relowner, 'MEMBER'))
    )
"""
EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)"
CREATE = "CREATE ROLE {role} LOGIN"
PASSWORD = "ALTER ROLE {role} PASSWORD {password}"
GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}",
    "REVOKE UPDATE, DELETE, TRUNCATE ON eventstore_event FROM {role}",
    "REVOKE UPDATE, TRUNCATE ON eventstore_outbox FROM {role}",
    "REVOKE UPDATE, DELETE, TRUNCATE ON eventstore_operator_action FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON eventstore_epoch, eventstore_epoch_mark FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
)


class AboveTheLog(ValueError):
    """The role could change the log whatever it is forbidden."""


def create(role: str, *, password: str | None = None) -> None:
    """Make the role, or bring its rights up to date after a migration. Needs a connection as the tables' owner.

    Rebuilding a projection makes and drops tables, so it is run as the owner, as migrations are.
    Raises AboveTheLog.
    """
    if rows(ABOVE, [role]) == [(True,)]:
        raise AboveTheLog(f"{role} owns the log or is a superuser, so it can change it; the application needs another.")
    ((exists,),) = rows(EXISTS, [role])
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(rows("SELECT current_schema()")[0][0])}
    if not exists:
        execute(compose(CREATE, **names)).close()
    if password is not None:
        execute(compose(PASSWORD, **names, password=sql.Literal(password))).close()
    for grant in GRANTS:
        execute(compose(grant, **names)).close()
