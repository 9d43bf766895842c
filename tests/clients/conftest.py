"""The API as a server, its document, and the npm packages of package.json."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.api.conftest import Api, _no_requests_counted, ada, person, shop  # noqa: F401

HERE = Path(__file__).parent
# Of `make test`.
PACKAGES = HERE.parents[1] / ".venv" / "npm" / "node_modules"


@pytest.fixture
def described(db):
    return Api().get("/api/openapi.json").json()


@pytest.fixture
def document(described, tmp_path):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(described))
    return path


@pytest.fixture
def node(tmp_path):
    """Runs a program of Node.js in a folder that has the packages."""
    if not shutil.which("node") or not PACKAGES.is_dir():
        pytest.skip("no Node.js, or no npm packages: install npm, then `make .venv/.installed-npm`")
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for each in (*HERE.glob("*.ts"), *HERE.glob("*.mjs")):
        shutil.copy(each, tmp_path)

    def run(program: str, *arguments: str) -> str:
        found = subprocess.run(
            ["node", program, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"NO_COLOR": "1"},
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    return run
