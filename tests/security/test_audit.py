"""The gates of the audit: green means that everything was checked."""

import pytest
from packaging.version import Version

from . import audit, floors
from .floors import FOUND, NOT_CHECKED, Floor, Verdict

GOOD = {"name": "good", "version": "1.0", "vulns": []}
HOLED = {"name": "holed", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
SKIPPED = {"name": "skipped", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([GOOD], 0),
        ([GOOD, HOLED], FOUND),
        ([HOLED, SKIPPED], FOUND),
        ([GOOD, SKIPPED], NOT_CHECKED),
        ([], NOT_CHECKED),
    ],
)
def test_only_what_was_checked_and_found_whole_passes(packages, code):
    verdict = audit.judged(packages)
    assert verdict.code == code
    assert verdict.checked == sum("vulns" in package for package in packages)


LOW = Floor("low", Version("2.0"), "a hole")


@pytest.mark.parametrize(
    ("required", "installed", "code", "expected"),
    [
        ([LOW], {"low": "2.0"}, 0, "1 packages checked, 0 absent, 0 without a floor, 0 too old"),
        (
            [LOW],
            {"low": "2.0", "other": "1"},
            0,
            "1 packages checked, 0 absent, 1 without a floor, 0 too old",
        ),
        ([LOW], {"low": "1.9"}, FOUND, "low 1.9 is below 2.0: a hole"),
        ([LOW], {"low": "10.0rc1"}, 0, "1 packages"),
        ([LOW], {"low": "2.0rc1"}, FOUND, "is below"),
        ([LOW], {"other": "1"}, NOT_CHECKED, "not checked: low"),
        ([], {"other": "1"}, NOT_CHECKED, "not checked: anything"),
    ],
)
def test_what_is_installed_stands_on_its_floor(required, installed, code, expected):
    verdict = floors.judged(
        required, {name: Version(version) for name, version in installed.items()}
    )
    assert verdict.code == code
    assert expected in "\n".join(verdict.lines)


@pytest.mark.parametrize(
    "line", ["low==2.0  # why", "low>=2.0", "low  # why", "low>=2,<3  # why", "low<2  # why"]
)
def test_a_floor_is_a_lowest_version_and_a_reason(line):
    with pytest.raises(ValueError):
        floors.read([line])


def test_no_floor_sinks_below_what_was_decided():
    decided = {"django": "5.2.11", "djangorestframework": "3.17.2", "kombu": "5.7"}
    found = {
        floor.package: floor.lowest for floor in floors.read(floors.FLOORS.read_text().splitlines())
    }
    assert {name: lowest for name, lowest in decided.items() if found[name] < Version(lowest)} == {}


def test_what_runs_here_stands_on_all_of_them():
    verdict = floors.look()
    assert verdict.code == 0, "\n".join(verdict.lines)
    assert verdict.checked >= 18


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0),
        ([NOT_CHECKED, 0], NOT_CHECKED),
        ([0, NOT_CHECKED], NOT_CHECKED),
        ([NOT_CHECKED, FOUND], FOUND),
        ([FOUND, 0], FOUND),
    ],
)
def test_either_gate_alone_closes_the_way(codes, code):
    assert audit.code([Verdict(each, 1, []) for each in codes]) == code
