"""The tables in the guide name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def named():
    text = (ROOT / "docs/guide/security.md").read_text()
    return sorted(
        {found.groups("") for found in NAMED.finditer(text) if not found[1].startswith("tests/")}
    )


def test_there_are_some():
    assert len(named()) > 40


@pytest.mark.parametrize(("file", "name"), named())
def test_it_is_there(file, name):
    source = (ROOT / "tests" / file).read_text()
    assert not name or re.search(rf"^(?:async )?(?:def|class) {name}\b", source, re.MULTILINE)
