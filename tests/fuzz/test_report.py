"""The gate of the fuzz: green means that something was tested."""

import json

import pytest

from .report import CHECKS, PHASES, missing, read_run

EXPECTED = {
    "described": {"GET /a/", "POST /b/"},
    "succeeded": 1,
    "phases": PHASES,
    "askers": {"ada", "grace"},
}


def written(
    folder,
    *,
    paths=("GET /a/", "POST /b/"),
    checks=CHECKS,
    phases=PHASES,
    askers=("ada", "grace"),
    status=200,
):
    """A report in the format of schemathesis."""
    lines = [{"Initialize": {"seed": 1}}]
    for phase in phases:
        cases, interactions = {}, {}
        for path in paths:
            for asker in askers:
                method, address = path.split()
                cases[f"{path} {asker}"] = {
                    "value": {"method": method, "path": address, "auth_identity": asker}
                }
                interactions[f"{path} {asker}"] = {"response": {"status_code": status}}
        looked = {"some": [{"name": name, "status": "success"} for name in checks]}
        recorder = {"cases": cases, "interactions": interactions, "checks": looked}
        lines.append({"ScenarioFinished": {"phase": phase, "recorder": recorder}})
    (folder / "report").write_text("\n".join(map(json.dumps, lines)))
    return read_run(folder / "report")


def test_a_run_that_has_tested_everything_lacks_nothing(tmp_path):
    assert missing(written(tmp_path), **EXPECTED) == []


@pytest.mark.parametrize(
    ("done", "lacking"),
    [
        ({"paths": ["GET /a/"]}, ["POST /b/ was not requested"]),
        ({"checks": CHECKS - {"ignored_auth"}}, ["ignored_auth never ran"]),
        ({"checks": CHECKS | {"new"}}, ["new is unknown"]),
        ({"phases": PHASES[:3]}, ["no stateful"]),
        ({"askers": ["ada"]}, ["grace sent nothing"]),
        ({"status": 404}, ["only [] succeeded"]),
    ],
)
def test_what_was_not_tested_is_named(tmp_path, done, lacking):
    assert missing(written(tmp_path, **done), **EXPECTED) == lacking


def test_a_run_that_was_over_before_it_began_is_no_pass(tmp_path):
    assert (
        len(missing(written(tmp_path, phases=()), **EXPECTED))
        == 2 + len(CHECKS) + len(PHASES) + 2 + 1
    )


def test_a_request_without_an_answer_is_none(tmp_path):
    report = {
        "phase": "fuzzing",
        "recorder": {"cases": {"x": {"value": {}}}, "interactions": {"x": {}}, "checks": {}},
    }
    (tmp_path / "report").write_text(json.dumps({"ScenarioFinished": report}))
    assert read_run(tmp_path / "report").summary()["answers"] == 0
