"""The report: Markdown for people, JSON for programs, and one line of JSON at the end."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tools.verification.chaos import broker_checks, plan
from tools.verification.chaos.checker import counted
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.run import Result

PROMISED = ("lost", "doubled", "oversold", "unfinished", "money_mismatch")


def line(result: Result, controls: Mapping[str, bool]) -> str:
    counts = counted(result.violations)
    figures: dict[str, object] = {
        "seed": result.seed,
        "orders": result.orders,
        "faults": len(result.faults),
    }
    figures |= {name: counts.get(name, 0) for name in PROMISED}
    if result.brokers:
        figures |= {name: counts.get(name, 0) for name in broker_checks.PROMISED}
        at_least_once = [broker_checks.REPEATED_RABBITMQ]
        if result.capture:
            at_least_once += [broker_checks.REPEATED_CAPTURE, broker_checks.CAPTURED]
        figures |= {name: result.hits.get(name, 0) for name in at_least_once}
    return json.dumps(figures | {"controls_red": sum(controls.values())})


def summary(name: str, result: Result) -> str:
    settled = (
        "never settled"
        if result.settled_after is None
        else f"settled after {result.settled_after:.1f} s"
    )
    hits = ", ".join(f"{count} {what}" for what, count in sorted(result.hits.items()))
    lines = [f"{name}: {result.orders} orders, {len(result.faults)} faults, {settled}; {hits}"]
    return "\n  ".join(
        [
            *lines,
            *(f"{v.counts_as}: {v.check}: {v.count} {list(v.examples)}" for v in result.violations),
        ]
    )


def write(folder: Path, result: Result, controls: Mapping[str, tuple[bool, Result]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = asdict(result) | {
        "controls": {name: {"red": red} | asdict(each) for name, (red, each) in controls.items()}
    }
    (folder / f"chaos-{result.seed}.json").write_text(json.dumps(content, indent=1))
    path = folder / f"chaos-{result.seed}.md"
    path.write_text(_markdown(result, controls))
    return path


def _markdown(result: Result, controls: Mapping[str, tuple[bool, Result]]) -> str:
    settled = f"{result.settled_after:.1f} s" if result.settled_after is not None else "never"
    faults = plan.counted([Fault(each["at"], each["what"], 0, 0.0) for each in result.faults])
    parts = [
        f"# Chaos, seed {result.seed}: {'passed' if result.passed else 'FAILED'}",
        (
            f"{result.orders} orders sent, {result.acknowledged} acknowledged,"
            f" {len(result.faults)} faults; settled after {settled}. Python"
            f" {platform.python_version()}."
        ),
        _table("Faults", faults),
        _table("Effects of the faults", result.hits),
        _table("Responses", result.seen),
        _table("Response times in milliseconds", result.milliseconds),
        "## Violations\n\n" + _violations(result),
        "## Controls: runs with a deliberate mistake\n\n"
        + "\n".join(
            f"- {name}: {'found' if red else 'NOT FOUND'}. {_violations(each)}"
            for name, (red, each) in controls.items()
        ),
        "## Log of the faults\n\n"
        + "\n".join(f"- {each['at']} s {each['what']}: {each['did']}" for each in result.faults),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, figures: Mapping[str, object]) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in sorted(figures.items()))
    return f"## {title}\n\n| | |\n|---|---|\n{rows}"


def _violations(result: Result) -> str:
    return (
        "; ".join(
            f"{each.check}: {each.count} ({', '.join(each.examples)})" for each in result.violations
        )
        or "none"
    )
