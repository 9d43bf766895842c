"""manage.py in the folder of `make run` finds the platform that runs."""

import os
import subprocess
import sys

from config.settings import BASE_DIR
from tools.devserver.environment import as_exports, exported

PROGRAM = (
    "import sys, manage; from pathlib import Path\n"
    "manage.RUNNING = Path(sys.argv.pop(1)); manage.main()"
)


def test_what_is_exported_is_read_back():
    settings = {"DATABASE_URL": 'postgresql://a:b\'c d@host/x?y="1"', "EMPTY": "", "A": "b=c"}
    assert exported(as_exports(settings)) == settings


def _manage(file, *words, **settings):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, file, *words],
        cwd=BASE_DIR,
        env=environment | {"PAYMENT_GATEWAY": "sandbox", "CARRIER": "sandbox"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_command_uses_the_running_platform(tmp_path):
    file = tmp_path / "environment"
    url = "postgresql://postgres@127.0.0.1:9/nothing_is_there"
    file.write_text(as_exports({"DATABASE_URL": url}))
    ran = _manage(file, "subscriptions", "list", SECRET_KEY="x")
    assert "127.0.0.1" in ran.stderr
    assert "port 9 failed" in ran.stderr
    assert f"Using the platform of `make run`: {file}" in ran.stderr


def test_a_database_that_the_shell_names_comes_first(tmp_path):
    file = tmp_path / "environment"
    file.write_text(as_exports({"DATABASE_URL": "postgresql://postgres@127.0.0.1:9/x"}))
    url = "postgresql://postgres@127.0.0.1:11/y"
    ran = _manage(file, "subscriptions", "list", SECRET_KEY="x", DATABASE_URL=url)
    assert "port 11 failed" in ran.stderr
    assert "make run" not in ran.stderr
