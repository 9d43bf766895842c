"""Each connection says which process it belongs to, in pg_stat_activity, where an operator looks
first."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from eventstore import defaults
from tests.eventstore.concurrently import until, url_of_the_test
from tools.devserver import ports

CASES = [
    (
        [
            "/usr/lib/python3/site-packages/gunicorn/__main__.py",
            "config.wsgi:application",
            "--bind=:80",
        ],
        "web",
    ),
    (["/venv/bin/gunicorn", "config.wsgi:application"], "web"),
    (["/srv/config/live.py", "--port=8001"], "live"),
    (["/lib/celery/__main__.py", "-A", "config", "worker", "-c", "2"], "worker"),
    (["/venv/bin/celery", "-A", "config", "beat"], "beat"),
    (["/venv/bin/celery", "-A", "config", "inspect", "ping"], "celery"),
    (["manage.py", "work"], "worker"),
    (["manage.py", "runserver", "8000"], "web"),
    (["manage.py", "doctor", "--json"], "manage.py doctor"),
    (["./manage.py", "--traceback", "migrate"], "manage.py migrate"),
    (["/venv/bin/pytest"], "pytest"),
    ([""], "python"),
    ([], "python"),
]

RUNS = {
    "web": [
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--no-control-socket",
        "--bind=127.0.0.1:{port}",
    ],
    "live": ["-m", "config.live", "--port={port}"],
    "worker": [
        "-m",
        "celery",
        "-q",
        "-A",
        "config",
        "worker",
        "-c",
        "1",
        "--without-gossip",
        "--without-mingle",
    ],
}
SEEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname ="
    " current_database()"
)


@pytest.mark.parametrize(("arguments", "name"), CASES)
def test_the_name_follows_from_the_command_line(arguments, name):
    assert defaults.process_name(arguments) == name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", RUNS)
def test_every_process_names_itself(name):
    port = ports.free()
    environment = os.environ | {"DATABASE_URL": url_of_the_test(), "CELERY_QUEUE": f"named-{port}"}
    environment.pop("PGAPPNAME", None)
    command = [sys.executable, "-W", "ignore", *(each.format(port=port) for each in RUNS[name])]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with psycopg.connect(url_of_the_test(), autocommit=True) as watching:
            until(
                lambda: _answered(port, name) and watching.execute(SEEN, [name]).fetchone()[0],
                seconds=40,
            )
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.django_db(transaction=True)
def test_so_does_a_command_and_what_the_environment_says_comes_first():
    code = (
        "from django.db import connection as c; c.ensure_connection();"
        " print(c.connection.info.parameter_status"
    )
    command = [
        sys.executable,
        "manage.py",
        "shell",
        "--no-imports",
        "-c",
        f"{code}('application_name'))",
    ]
    environment = os.environ | {"DATABASE_URL": url_of_the_test()}
    for named, expected in (({}, "manage.py shell"), ({"PGAPPNAME": "nightly"}, "nightly")):
        done = subprocess.run(command, env=environment | named, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == expected, done.stderr


def _answered(port, name):
    """A web server connects when it is asked for something."""
    if name != "web":
        return True
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code > 0
    except httpx.HTTPError:
        return False
