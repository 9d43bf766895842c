"""docs/reference says what the code says; `make reference` writes it."""

import ast
import tomllib

import pytest
from django.core.management import get_commands

from eventstore import guarantees, registry
from tools.reference import commands, doors, problems, settings, source
from tools.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_stale(name):
    assert (FOLDER / name).read_text() == PAGES[name](), (
        f"docs/reference/{name} is stale: run `make reference` and commit what it writes."
    )


def test_every_generated_page_is_listed_on_the_first_one():
    first = (FOLDER / "README.md").read_text()
    assert [name for name in PAGES if f"({name})" not in first] == []


def test_every_command_of_ours_is_there():
    ours = [
        name
        for name, app in get_commands().items()
        if isinstance(app, str) and app.partition(".")[0] in source.packages()
    ]
    page = commands.page()
    assert len(ours) > 20
    assert [name for name in ours if f"## `manage.py {name}`" not in page] == []


def test_every_variable_has_a_meaning_and_no_meaning_is_left_over():
    variables = {each.name: each for each in settings._variables()}
    assert [each.name for each in variables.values() if not each.about] == []
    meanings = tomllib.loads((source.ROOT / "tools/reference/meanings.toml").read_text())
    assert set(meanings) - set(variables) == set()


def test_every_event_and_every_published_one_is_there():
    page = PAGES["events.md"]()
    for name in (*registry.published_types(), *registry.types()):
        if name not in {each for table in registry.wiring().COMMANDS for each in table}:
            assert f"### `{name}`" in page


def test_every_guarantee_is_a_finding_and_a_check():
    findings, checks = PAGES["doctor.md"](), PAGES["checks.md"]()
    for each in guarantees.table():
        assert f"## `{each.finding}`" in findings
        assert f"| `{each.id}` |" in checks


def test_every_finding_that_the_selftest_brings_about_is_there():
    (file,) = (
        *source.ROOT.glob("eventstore/**/faults.py"),
        *source.ROOT.glob("tools/**/doctor/faults.py"),
    )
    (faults,) = (
        each.value
        for each in ast.parse(file.read_text()).body
        if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == "FAULTS"
    )
    names = {ast.literal_eval(key).partition("/")[0] for key in faults.keys}
    assert len(names) > 20
    page = PAGES["doctor.md"]()
    assert [name for name in names if f"## `{name}`" not in page] == []


def test_the_names_that_packages_list_are_there():
    doors_ = [each for each in source.modules("eventstore") if each.is_package]
    listed = {name for door in doors_ for name, _ in doors._door(door)}
    assert {"append", "react", "rebuild", "project", "execute"} <= listed


def test_a_rejected_command_is_a_conflict_and_what_is_hidden_is_not_found():
    codes = {(row.status, row.code) for row in problems._rows()}
    assert {("409", "NotEnoughStock"), ("404", "NotFound"), ("422", "KeyReused")} <= codes
    assert not {code for _, code in codes if code == "Hidden"}
