"""The tests that docs/guide/failures.md names are there, so that each row's proof can be looked
up."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/guide/failures.md").read_text()
# `folder/test_file.py::test_name`, or a part of the name with … where something was left out.
NAMED = re.compile(r"`((?=\S*(?:/|test_|…))(?:[a-z_]+/)*(?:test_\w+\.py)?(?:::)?…?\w*…?)`")


def named():
    file = ""
    for line in PAGE.splitlines():
        if not line.startswith("| "):
            continue
        for name in NAMED.findall(line.rpartition(" | ")[2]):
            path, _, test = name.partition("::")
            if path.startswith("…"):
                path, test = file, path
            file = path if path.endswith(".py") else file
            folder, _, rest = path.rpartition("/")
            if "…" in rest:
                path, test = f"{folder}/test_*.py", rest
            yield name, path if "/" in path else f"eventstore/**/{path}", test.replace("…", "")


@pytest.mark.parametrize(
    ("name", "path", "test"), [pytest.param(*each, id=each[0]) for each in named()]
)
def test_what_shows_it_is_there(name, path, test):
    files = list(TESTS.glob(f"{path}test_*.py" if path.endswith("/") else path))
    assert files, f"failures.md names {name}, and there is no tests/{path}"
    texts = [each.read_text() for each in files if each.is_file()]
    assert any(
        re.search(rf"^ *(?:def|class) \w*{test}\w*\b", text, re.MULTILINE) for text in texts
    ), name


def test_rows_are_found_at_all():
    assert len({name for name, _, _ in named()}) > 50
