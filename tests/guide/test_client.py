"""The client's guide is true: who types it word for word against a running shop gets just this."""

import re
from pathlib import Path

import pytest

from tests.tutorial.following import FENCED, File, as_shown, steps

from .terminal import opened

PAGE = Path(__file__).parents[2] / "docs/guide/client.md"


@pytest.mark.slow
def test_who_types_it_word_for_word_gets_just_this(tmp_path, served):
    with opened(tmp_path, served) as terminal:
        for step in steps(PAGE.read_text()):
            if isinstance(step, File):
                (tmp_path / step.path).write_text(step.content)
                continue
            printed = terminal.type(step.command)
            assert as_shown(step.output, printed), (
                f"$ {step.command}\n{printed}\nThe page shows:\n{step.output}"
            )


def test_nothing_on_it_looks_like_a_command_and_is_none():
    page = PAGE.read_text()
    blocks = list(FENCED.finditer(page))
    assert len(blocks) * 2 == page.count("```")
    assert [
        block["language"]
        for block in blocks
        if block["language"] != "console" and not block["path"]
    ] == []
    assert re.findall(r"^(?: {4}|\t)\S.*", FENCED.sub("", page), re.MULTILINE) == []


def test_a_command_keeps_what_the_ones_before_have_set(tmp_path):
    with opened(tmp_path, {"PATH": "/usr/bin:/bin"}) as terminal:
        assert terminal.type("cat; A=1; f() { echo $A; }") == ""
        assert terminal.type("f; printf 'no end'") == "1\nno end\n"
        assert terminal.type("cat <<X\nhere\nX\nnothing 2>&1").startswith("here\nbash: ")
