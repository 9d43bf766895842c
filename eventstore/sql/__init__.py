"""What the database does itself, as it is today: functions, one in each file, and what Django's
models cannot say.

The first migration runs all of it. A changed function is a changed file, and a migration that runs
it again: `migrations.RunSQL(sql.replacing("eventstore_append"), migrations.RunSQL.noop)`.
"""

from pathlib import Path

HERE = Path(__file__).parent
FUNCTIONS = HERE / "functions"

# Functions that run as the log's owner look for tables in the schema that they were made in (SET
# search_path FROM CURRENT), whatever their caller's path is, and in pg_temp last: a temporary table
# of the same name is not taken for ours. Bodies are looked at when they are called, so the order of
# the files does not matter.
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
    """Of all functions."""
    return sorted(file.stem for file in FUNCTIONS.glob("*.sql"))


def function(name: str) -> str:
    """The statement that makes it, or makes it anew."""
    return (FUNCTIONS / f"{name}.sql").read_text()


def replacing(*functions: str) -> str:
    """SQL that makes these functions, or makes them anew where their arguments and results are the
    same as before."""
    return "\n".join([BEFORE, *map(function, functions), AFTER])


def making() -> str:
    """SQL for a database in which Django's tables are there already."""
    return "\n".join([_read("tables.sql"), replacing(*names()), _read("guards.sql")])


def removing() -> str:
    """SQL that leaves Django's tables alone."""
    functions = "\n".join(f"DROP FUNCTION {name} CASCADE;" for name in names())
    return f"{REMOVE_TABLES}\n{functions}"


def _read(file: str) -> str:
    return (HERE / file).read_text()
