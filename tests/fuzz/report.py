"""What a run of schemathesis has tested: a run that tested next to nothing fails."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

# All checks of schemathesis 4.32 for an OpenAPI document. A new one in a later version has to be
# considered.
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "whatever_fits_the_description_is_taken",
    "whatever_does_not_fit_is_refused",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "object_level_authorization",
    "ensure_resource_availability",
    "use_after_free",
}
PHASES = ("examples", "coverage", "fuzzing", "stateful")


class Run(NamedTuple):
    """answers: operation -> status -> count. checks: how often each ran. askers: requests of each
    user, by name."""

    answers: dict[str, Counter[int]]
    checks: Counter[str]
    phases: Counter[str]
    askers: Counter[str]

    @property
    def succeeded(self) -> set[str]:
        return {
            operation
            for operation, statuses in self.answers.items()
            if any(each < 400 for each in statuses)
        }

    def summary(self) -> dict[str, Any]:
        statuses = sum(self.answers.values(), Counter())
        return {
            "answers": sum(statuses.values()),
            "operations": len(self.answers),
            "operations_that_succeeded": len(self.succeeded),
            "server_errors": sum(number for status, number in statuses.items() if status >= 500),
            "by_status": dict(sorted(statuses.items())),
            "by_phase": dict(self.phases),
            "by_asker": dict(self.askers),
            "looks_of_checks": sum(self.checks.values()),
        }


def read_run(report: Path) -> Run:
    answers, found = (
        defaultdict[str, Counter[int]](Counter),
        Run({}, Counter(), Counter(), Counter()),
    )
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished", {})
        recorder = scenario.get("recorder") or {}
        for id_, case in recorder.get("cases", {}).items():
            response = recorder.get("interactions", {}).get(id_, {}).get("response")
            if response is not None:
                answers[f"{case['value']['method']} {case['value']['path']}"][
                    response["status_code"]
                ] += 1
                found.phases[scenario["phase"]] += 1
                found.askers[case["value"].get("auth_identity") or "nobody"] += 1
        for looked in recorder.get("checks", {}).values():
            found.checks.update(check["name"] for check in looked)
    return found._replace(answers=dict(answers))


def missing(
    run: Run,
    *,
    described: Iterable[str],
    succeeded: int,
    phases: Iterable[str],
    askers: Iterable[str],
) -> list[str]:
    """What should have been tested and was not; empty if everything was.

    described: operations. succeeded: for how many of them at least one request must succeed.
    """
    return [
        *(f"{name} was not requested" for name in sorted(set(described) - set(run.answers))),
        *(f"{name} never ran" for name in sorted(CHECKS - set(run.checks))),
        *(f"{name} is unknown" for name in sorted(set(run.checks) - CHECKS)),
        *(f"no {name}" for name in phases if name not in run.phases),
        *(f"{name} sent nothing" for name in sorted(set(askers) - set(run.askers))),
        *(
            [f"only {sorted(run.succeeded)} succeeded"]
            if len(run.succeeded & set(described)) < succeeded
            else []
        ),
    ]
