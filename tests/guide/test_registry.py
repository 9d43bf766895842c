"""The commands of the registry's guide print what the page shows."""

import os
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.tutorial.following import File, as_shown, steps
from tools.devserver import ports

from .conftest import Web
from .terminal import opened

PAGE = Path(__file__).parents[2] / "docs/guide/registry.md"


@pytest.fixture
def registry(transactional_db):
    """The web server of the demo's shop, and how a shell finds it."""
    call_command("demo", "--anyway", verbosity=0)
    call_command("schemas", "--register", verbosity=0)
    web = Web()
    try:
        web.wait()
        yield {
            "API": f"http://{ports.HOST}:{web.port}/api",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
    finally:
        web.stop()


@pytest.mark.slow
def test_its_commands_print_what_the_page_shows(tmp_path, registry):
    found = list(steps(PAGE.read_text()))
    assert len(found) > 10
    with opened(tmp_path, registry) as terminal:
        for step in found:
            if isinstance(step, File):
                (tmp_path / step.path).write_text(step.content)
                continue
            printed = terminal.type(step.command)
            assert as_shown(step.output, printed), (
                f"$ {step.command}\n{printed}\nThe page shows:\n{step.output}"
            )
