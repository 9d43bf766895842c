"""The current SQL of the database: functions, one per file, and what Django's models cannot define.

The first migration runs all of it. To change a function, change its file and add a migration that
runs it: `migrations.RunSQL(sql.replacing("eventstore_append"), migrations.RunSQL.noop)`.
"""

from pathlib import Path

HERE = Path(__file__).parent
FUNCTIONS = HERE / "functions"

# Functions that run as the owner of the log use the schema that they were created in (SET
# search_path FROM CURRENT), whatever the caller's search path is. pg_temp comes last, so that a
# temporary table with the same name is not used instead of ours. Bodies are checked when they are
# called, so the order of the files does not matter.
BEFORE = """
SELECT set_config('eventstore.search_path', current_setting('search_path'), true);
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
SET LOCAL check_function_bodies = off;
"""
AFTER = """
SELECT set_config('search_path', current_setting('eventstore.search_path'), true);
SET LOCAL check_function_bodies = on;
"""
REMOVE_TABLES = (
    "DROP TABLE eventstore_epoch_mark, eventstore_epoch; DROP SEQUENCE eventstore_position;"
)


def names() -> list[str]:
    """The names of all functions."""
    return sorted(file.stem for file in FUNCTIONS.glob("*.sql"))


def function(name: str) -> str:
    """The statement that creates or replaces it."""
    return (FUNCTIONS / f"{name}.sql").read_text()


def replacing(*functions: str) -> str:
    """SQL that creates or replaces these functions. To replace one, its arguments and results must
    be the same as before."""
    return "\n".join([BEFORE, *map(function, functions), AFTER])


def making() -> str:
    """SQL that creates everything, after Django's tables were created."""
    tables, guards = (HERE / "tables.sql").read_text(), (HERE / "guards.sql").read_text()
    return "\n".join([tables, replacing(*names()), guards])


def removing() -> str:
    """SQL that drops everything but Django's tables."""
    functions = "\n".join(f"DROP FUNCTION {name} CASCADE;" for name in names())
    return f"{REMOVE_TABLES}\n{functions}"
