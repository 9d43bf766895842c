"""A table of the very form of a live one, beside it: made, given its indexes, put in its place, and
kept behind it.

All is taken from the live table as the database has it, not from the model: names of constraints
and indexes, rights, comments. So whatever migrations or people have done to it, the next migration
finds what it looks for.
"""

from collections.abc import Iterator
from typing import Any

from eventstore.postgres import execute, rows
from eventstore.subscriptions import Projection

# Where a table is filled, and where the one whose place it took is kept. Names of indexes are of a
# schema.
SHADOW = "rebuild"
KEPT = "rebuild_kept"

HERE = "SELECT format('%%I', current_schema())"
CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS {schema}"
MAY = """
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
# What two tables must have in common to take each other's place: columns, constraints, indexes,
# triggers.
FORM = """
    SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '')
    FROM (
        SELECT format('column %%I %%s %%s %%s', attname, format_type(atttypid, atttypmod),
            attnotnull,
                      pg_get_expr(adbin, adrelid))
        FROM pg_attribute
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT format('constraint %%I %%s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE conrelid = to_regclass(%s) AND contype IN ('c', 'p', 'u', 'x', 'f')
        UNION ALL
        SELECT replace(pg_get_indexdef(indexrelid), format(' ON %%s ', %s::text), ' ON ')
        FROM pg_index
        WHERE indrelid = to_regclass(%s)
        UNION ALL
        SELECT replace(pg_get_triggerdef(oid), format(' ON %%s ', %s::text), ' ON ')
        FROM pg_trigger
        WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal
    ) AS parts(line)
"""
PRIMARY_KEY = """
    SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %s::text, conname,
        pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype = 'p'
"""
# In this order: keys, indexes, what refers to others, triggers, rights. Rows come into a table
# without them faster, and a trigger has no say in what is folded from the log.
THE_REST = """
    SELECT 1, conname, format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %s::text, conname,
        pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype IN ('u', 'x')
    UNION ALL
    SELECT 2, relname, replace(pg_get_indexdef(indexrelid), format(' ON %%s ', %s::text), format('
        ON %%s ', %s::text))
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass(%s) AND NOT EXISTS (SELECT FROM pg_constraint
        WHERE conindid = indexrelid)
    UNION ALL
    SELECT 3, conname, format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %s::text, conname,
        pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype = 'f'
    UNION ALL
    SELECT 4, tgname, replace(pg_get_triggerdef(oid), format(' ON %%s ', %s::text), format('
        ON %%s ', %s::text))
    FROM pg_trigger
    WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal
    UNION ALL
    SELECT 5, '', format('GRANT %%s ON %%s TO %%s%%s', privilege_type, %s::text,
                         CASE WHEN grantee = 0 THEN 'PUBLIC'
                             ELSE format('%%I', pg_get_userbyid(grantee)) END,
                         CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
    FROM pg_class, aclexplode(relacl)
    WHERE pg_class.oid = to_regclass(%s) AND grantee <> relowner
    UNION ALL
    SELECT 6, '', format('ALTER TABLE %%s SET (%%s)', %s::text, array_to_string(reloptions, ', '))
    FROM pg_class
    WHERE oid = to_regclass(%s) AND reloptions IS NOT NULL
    UNION ALL
    SELECT 7, '', format('COMMENT ON TABLE %%s IS %%L', %s::text, obj_description(to_regclass(%s),
        'pg_class'))
    WHERE obj_description(to_regclass(%s), 'pg_class') IS NOT NULL
    UNION ALL
    SELECT 8, '', format('ALTER TABLE %%s OWNER TO %%I', %s::text, pg_get_userbyid(relowner))
    FROM pg_class
    WHERE oid = to_regclass(%s) AND pg_get_userbyid(relowner) <> current_user
    ORDER BY 1, 2
"""
# What holds on to the live table itself and would not follow the new one.
HELD_BY = """
    SELECT DISTINCT format('the view %%s reads it', ev_class::regclass)
    FROM pg_depend
    JOIN pg_rewrite ON pg_rewrite.oid = objid
    WHERE pg_depend.classid = 'pg_rewrite'::regclass AND refobjid = to_regclass(%s)
        AND ev_class <> refobjid
    UNION ALL
    SELECT format('the foreign key %%I of %%s refers to it', conname, conrelid::regclass)
    FROM pg_constraint
    WHERE confrelid = to_regclass(%s) AND conrelid <> confrelid
    UNION ALL
    SELECT format('the publication %%I names it', pubname)
    FROM pg_publication_rel
    JOIN pg_publication ON pg_publication.oid = prpubid
    WHERE prrelid = to_regclass(%s)
    UNION ALL
    SELECT 'it has row security, partitions or heirs'
    FROM pg_class
    WHERE oid = to_regclass(%s)
      AND (relrowsecurity OR relkind <> 'r' OR EXISTS (SELECT FROM pg_inherits
          WHERE oid IN (inhparent, inhrelid)))
"""
COLUMNS = """
    SELECT attname
    FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
# Kept rows of a table that nobody has looked at yet: the planner must know them when the first
# reader comes.
ANALYZE = "ANALYZE {table}"
DROP = "DROP TABLE IF EXISTS {table}"
MOVE = "ALTER TABLE {table} SET SCHEMA {schema}"
PATIENCE = "SET LOCAL lock_timeout = '{milliseconds}ms'"
LOCK = "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"


class NotRebuildable(Exception):
    """Something holds on to the live table, or it does not fit its model; the sentence says
    what."""


def name_of(projection: Projection) -> str:
    return str(projection.model._meta.db_table)


def live(table: str) -> str:
    return f"{rows(HERE)[0][0]}.{table}"


def shadow(table: str) -> str:
    return f"{SHADOW}.{table}"


def kept(table: str) -> str:
    return f"{KEPT}.{table}"


def exists(table: str) -> bool:
    return bool(rows(EXISTS, [table])[0][0])


def form(table: str) -> str:
    """Its columns, constraints, indexes and triggers as text; the same for two that can take each
    other's place."""
    return str(rows(FORM, [table] * 6)[0][0])


def check(projection: Projection) -> None:
    """Raises NotRebuildable."""
    table = live(name_of(projection))
    found, meant = {name for (name,) in rows(COLUMNS, [table])}, _columns(projection.model)
    if found != meant:
        differ = ", ".join(sorted(found ^ meant))
        raise NotRebuildable(
            f"{table} does not fit its model ({differ}): run manage.py migrate first."
        )
    if held := [sentence for (sentence,) in rows(HELD_BY, [table] * 4)]:
        raise NotRebuildable(f"{table} cannot be replaced: {'; '.join(held)}.")
    ((may, user),) = rows(MAY, [SHADOW, table])
    if not may:
        raise NotRebuildable(
            f"{user} may not replace {table}: rebuild as who owns it, as you migrate."
        )


def create(table: str) -> None:
    """Empty, with its primary key alone."""
    for schema in (SHADOW, KEPT):
        _create_schema(schema)
    drop(shadow(table))
    execute(CREATE.format(shadow=shadow(table), live=live(table))).close()
    for (statement,) in rows(PRIMARY_KEY, [shadow(table), live(table)]):
        execute(statement).close()


def complete(table: str) -> None:
    """Give it all else that the live one has. Call it once, inside a transaction."""
    for statement in _the_rest(live(table), shadow(table)):
        execute(statement).close()
    execute(ANALYZE.format(table=shadow(table))).close()


def lock(table: str, *, milliseconds: int) -> None:
    """Nobody else reads or writes it until the commit. Who comes after us waits behind us, so we do
    not wait long."""
    execute(PATIENCE.format(milliseconds=milliseconds)).close()
    execute(LOCK.format(table=table)).close()


def replace(table: str) -> None:
    """The shadow takes the place of the live table, which is kept; the one that was kept before is
    dropped."""
    here, was = live(table), rows(HERE)[0][0]
    drop(kept(table))
    execute(MOVE.format(table=here, schema=KEPT)).close()
    execute(MOVE.format(table=shadow(table), schema=was)).close()


def exchange(table: str) -> None:
    """The live table and the kept one change places."""
    here, was = live(table), rows(HERE)[0][0]
    execute(MOVE.format(table=here, schema=SHADOW)).close()
    execute(MOVE.format(table=kept(table), schema=was)).close()
    execute(MOVE.format(table=shadow(table), schema=KEPT)).close()


def drop(table: str) -> None:
    execute(DROP.format(table=table)).close()


def _create_schema(schema: str) -> None:
    # Without the right to create one, "IF NOT EXISTS" is refused even where it exists.
    if not rows("SELECT FROM pg_namespace WHERE nspname = %s", [schema]):
        execute(CREATE_SCHEMA.format(schema=schema)).close()


def _the_rest(here: str, there: str) -> Iterator[str]:
    keys = others = rights = options = owner = [there, here]
    indexes = triggers = [here, there, here]
    comment = [there, here, here]
    found = rows(
        THE_REST, [*keys, *indexes, *others, *triggers, *rights, *options, *comment, *owner]
    )
    yield from (statement for _, _, statement in found)


def _columns(model: Any) -> set[str]:
    return {field.column for field in model._meta.concrete_fields}
