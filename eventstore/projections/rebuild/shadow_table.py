"""Shadow tables: a table of the same form as a live one, created, completed, swapped and kept.

Everything is copied from the live table in the database, not from the model: the names of
constraints and indexes, privileges, comments. So the next migration finds what it expects, whatever
earlier migrations or people have changed.
"""

from functools import cache

from psycopg import sql

from eventstore.postgres import compose, execute, rows
from eventstore.subscriptions import Projection

# Schemas of the tables that are being filled, and of those kept for a rollback. Index names are
# unique within a schema, so each table keeps the names of its indexes.
SHADOW = "rebuild"
KEPT = "rebuild_kept"

CURRENT_SCHEMA = "SELECT format('%%I', current_schema())"
# With quotation marks only where they are needed, as pg_get_indexdef and others write it.
IDENTIFIER = "SELECT format('%%I', %s::text)"
CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS {schema}"
MAY_REPLACE = """
    SELECT pg_has_role(relowner, 'USAGE') AND (
        has_database_privilege(current_database(), 'CREATE')
        OR EXISTS (SELECT FROM pg_namespace WHERE nspname = %s
            AND has_schema_privilege(oid, 'CREATE'))
    ), current_user
    FROM pg_class
    WHERE oid = to_regclass(%s)
"""
EXISTS = "SELECT to_regclass(%s) IS NOT NULL"
CREATE = """
    CREATE TABLE {shadow} (
        LIKE {live} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY
        INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING STATISTICS INCLUDING COMMENTS
    )
"""
# Two tables can replace each other if these are the same: columns, constraints, indexes, triggers.
# table: a literal.
FORM = """
    SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '')
    FROM (
        SELECT format('column %%I %%s %%s %%s', attname, format_type(atttypid, atttypmod),
                      attnotnull, pg_get_expr(adbin, adrelid))
        FROM pg_attribute
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT format('constraint %%I %%s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE conrelid = to_regclass({table}) AND contype IN ('c', 'p', 'u', 'x', 'f')
        UNION ALL
        SELECT replace(pg_get_indexdef(indexrelid), format(' ON %%s ', {table}), ' ON ')
        FROM pg_index
        WHERE indrelid = to_regclass({table})
        UNION ALL
        SELECT replace(pg_get_triggerdef(oid), format(' ON %%s ', {table}), ' ON ')
        FROM pg_trigger
        WHERE tgrelid = to_regclass({table}) AND NOT tgisinternal
    ) AS parts(line)
"""
PRIMARY_KEY = """
    SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %s::text, conname,
        pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype = 'p'
"""
# Statements that give the shadow what the live table has besides columns and primary key, in this
# order: unique keys, indexes, foreign keys, triggers, privileges, options, comment, owner. Rows are
# written faster without them, and triggers must not act on rows that are folded from the log.
# live, shadow: literals.
COMPLETE = """
    SELECT 1, conname, format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', {shadow}, conname,
                              pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass({live}) AND contype IN ('u', 'x')
    UNION ALL
    SELECT 2, relname, replace(pg_get_indexdef(indexrelid),
                               format(' ON %%s ', {live}), format(' ON %%s ', {shadow}))
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass({live})
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT 3, conname, format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', {shadow}, conname,
                              pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass({live}) AND contype = 'f'
    UNION ALL
    SELECT 4, tgname, replace(pg_get_triggerdef(oid),
                              format(' ON %%s ', {live}), format(' ON %%s ', {shadow}))
    FROM pg_trigger
    WHERE tgrelid = to_regclass({live}) AND NOT tgisinternal
    UNION ALL
    SELECT 5, '', format('GRANT %%s ON %%s TO %%s%%s', privilege_type, {shadow},
                         CASE WHEN grantee = 0 THEN 'PUBLIC'
                             ELSE format('%%I', pg_get_userbyid(grantee)) END,
                         CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
    FROM pg_class, aclexplode(relacl)
    WHERE pg_class.oid = to_regclass({live}) AND grantee <> relowner
    UNION ALL
    SELECT 6, '', format('ALTER TABLE %%s SET (%%s)', {shadow}, array_to_string(reloptions, ', '))
    FROM pg_class
    WHERE oid = to_regclass({live}) AND reloptions IS NOT NULL
    UNION ALL
    SELECT 7, '', format('COMMENT ON TABLE %%s IS %%L', {shadow},
                         obj_description(to_regclass({live}), 'pg_class'))
    WHERE obj_description(to_regclass({live}), 'pg_class') IS NOT NULL
    UNION ALL
    SELECT 8, '', format('ALTER TABLE %%s OWNER TO %%I', {shadow}, pg_get_userbyid(relowner))
    FROM pg_class
    WHERE oid = to_regclass({live}) AND pg_get_userbyid(relowner) <> current_user
    ORDER BY 1, 2
"""
# Objects that refer to the live table itself and would not follow a swap. table: a literal.
OBSTACLES = """
    SELECT DISTINCT format('the view %%s reads it', ev_class::regclass)
    FROM pg_depend
    JOIN pg_rewrite ON pg_rewrite.oid = objid
    WHERE pg_depend.classid = 'pg_rewrite'::regclass AND refobjid = to_regclass({table})
      AND ev_class <> refobjid
    UNION ALL
    SELECT format('the foreign key %%I of %%s refers to it', conname, conrelid::regclass)
    FROM pg_constraint
    WHERE confrelid = to_regclass({table}) AND conrelid <> confrelid
    UNION ALL
    SELECT format('the publication %%I includes it', pubname)
    FROM pg_publication_rel
    JOIN pg_publication ON pg_publication.oid = prpubid
    WHERE prrelid = to_regclass({table})
    UNION ALL
    SELECT 'it has row security, partitions or child tables'
    FROM pg_class
    WHERE oid = to_regclass({table})
      AND (relrowsecurity OR relkind <> 'r'
           OR EXISTS (SELECT FROM pg_inherits WHERE oid IN (inhparent, inhrelid)))
"""
COLUMNS = """
    SELECT attname
    FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
# The planner needs statistics of the new table before its first reader comes.
ANALYZE = "ANALYZE {table}"
DROP = "DROP TABLE IF EXISTS {table}"
MOVE = "ALTER TABLE {table} SET SCHEMA {schema}"
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '{milliseconds}ms'"
LOCK = "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"


class NotRebuildable(Exception):
    """Something refers to the live table, or its columns do not match its model."""


def table_of(projection: Projection) -> str:
    return _identifier(str(projection.model._meta.db_table))


@cache
def _identifier(name: str) -> str:
    return str(rows(IDENTIFIER, [name])[0][0])


def live_name(table: str) -> str:
    return f"{rows(CURRENT_SCHEMA)[0][0]}.{table}"


def shadow_name(table: str) -> str:
    return f"{SHADOW}.{table}"


def kept_name(table: str) -> str:
    return f"{KEPT}.{table}"


def exists(table: str) -> bool:
    return bool(rows(EXISTS, [table])[0][0])


def form(table: str) -> str:
    """Its columns, constraints, indexes and triggers as text; equal for two tables that can replace
    each other."""
    return str(rows(compose(FORM, table=sql.Literal(table)))[0][0])


def check(projection: Projection) -> None:
    """Raises NotRebuildable."""
    table = live_name(table_of(projection))
    actual = {name for (name,) in rows(COLUMNS, [table])}
    expected = {field.column for field in projection.model._meta.concrete_fields}
    if actual != expected:
        raise NotRebuildable(
            f"The columns of {table} do not match its model"
            f" ({', '.join(sorted(actual ^ expected))}). Run manage.py migrate first."
        )
    if obstacles := rows(compose(OBSTACLES, table=sql.Literal(table))):
        raise NotRebuildable(
            f"{table} cannot be replaced: {'; '.join(reason for (reason,) in obstacles)}."
        )
    ((may_replace, user),) = rows(MAY_REPLACE, [SHADOW, table])
    if not may_replace:
        raise NotRebuildable(
            f"{user} may not replace {table}. Run the rebuild as the owner of the table, as for a"
            " migration."
        )


def create(table: str) -> None:
    """Create an empty shadow that has only the primary key."""
    for schema in (SHADOW, KEPT):
        # Without the privilege to create a schema, IF NOT EXISTS fails even where it exists.
        if not rows("SELECT FROM pg_namespace WHERE nspname = %s", [schema]):
            execute(CREATE_SCHEMA.format(schema=schema)).close()
    live, shadow = live_name(table), shadow_name(table)
    drop(shadow)
    execute(CREATE.format(shadow=shadow, live=live)).close()
    for (statement,) in rows(PRIMARY_KEY, [shadow, live]):
        execute(statement).close()


def complete(table: str) -> None:
    """Give the shadow everything else that the live table has. Call it once, in a transaction."""
    live, shadow = sql.Literal(live_name(table)), sql.Literal(shadow_name(table))
    for _, _, statement in rows(compose(COMPLETE, live=live, shadow=shadow)):
        execute(statement).close()
    execute(ANALYZE.format(table=shadow_name(table))).close()


def lock(table: str, *, milliseconds: int) -> None:
    """Block all readers and writers until the commit. The wait is short because later readers queue
    behind it.

    Raises OperationalError when the time is over.
    """
    execute(LOCK_TIMEOUT.format(milliseconds=milliseconds)).close()
    execute(LOCK.format(table=table)).close()


def replace(table: str) -> None:
    """Make the shadow live and keep the live table; drop the table that was kept before."""
    live, schema = live_name(table), rows(CURRENT_SCHEMA)[0][0]
    drop(kept_name(table))
    execute(MOVE.format(table=live, schema=KEPT)).close()
    execute(MOVE.format(table=shadow_name(table), schema=schema)).close()


def exchange(table: str) -> None:
    """Exchange the live table and the kept one."""
    live, schema = live_name(table), rows(CURRENT_SCHEMA)[0][0]
    execute(MOVE.format(table=live, schema=SHADOW)).close()
    execute(MOVE.format(table=kept_name(table), schema=schema)).close()
    execute(MOVE.format(table=shadow_name(table), schema=KEPT)).close()


def drop(table: str) -> None:
    execute(DROP.format(table=table)).close()
