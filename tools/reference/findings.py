"""What the doctor finds, and the system checks."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from .source import all_modules, arguments, calls, code, heading, table, text_of

FINDING = ("check", "severity", "what", "culprit", "why", "mend")
DOCTOR = (
    "`manage.py doctor` prints these, worst first; `--json` prints them for programs. Exit code 0:"
    " healthy, 1: warnings, 2: critical. An ellipsis stands for what it names while it runs."
)
CHECKS = (
    "`manage.py check` prints these; those of the database with `--database default`. A process"
    " that serves looks at the settings and at the database before it serves, and an error stops"
    " it. An ellipsis stands for what the check names."
)


class Found(NamedTuple):
    """One way to come to a finding or to a failed check. id: of the system check, if it is one."""

    check: str
    id: str
    severity: str
    what: str
    why: str
    mend: str
    where: str


def doctor_page() -> str:
    found = sorted((each for each in _all() if each.check), key=lambda each: each.check)
    names = dict.fromkeys(each.check for each in found)
    sections = [
        f"## {code(name)}\n\n" + "\n".join(_said(each) for each in found if each.check == name)
        for name in names
    ]
    return "\n".join([heading("Doctor findings", DOCTOR), *sections])


def checks_page() -> str:
    found = sorted((each for each in _all() if each.id), key=lambda each: each.id)
    rows = (
        (code(each.id), each.severity, each.what, each.mend, code(each.where)) for each in found
    )
    columns = ("id", "severity", "message", "what to do", "where")
    return "\n".join([heading("System checks", CHECKS), table(columns, rows)])


def _said(each: Found) -> str:
    severity = {"error": "critical"}.get(each.severity, each.severity)
    lines = [f"**{severity.capitalize()}.** {each.what}\n", f"- Consequence: {each.why}"]
    lines += [f"- To do: {each.mend}"]
    lines += [f"- System check: {code(each.id)}"] if each.id else []
    return "\n".join(lines) + "\n"


def _all() -> Iterator[Found]:
    for module in all_modules():
        for call in calls(module.tree, "Finding"):
            given = arguments(call, *FINDING)
            if set(FINDING) <= set(given) and isinstance(given["check"], ast.Constant):
                what, why, mend = (_whole(given[name]) for name in ("what", "why", "mend"))
                severity = _severity(given["severity"])
                yield Found(text_of(given["check"]), "", severity, what, why, mend, module.where)
        for call in calls(module.tree, "Guarantee"):
            yield _guarantee(arguments(call), module.where)
        for call in calls(module.tree, "Error", "Warning"):
            given = arguments(call, "msg", "hint")
            if "id" in given and isinstance(given["id"], ast.Constant):
                kind = call.func.id if isinstance(call.func, ast.Name) else call.func.attr  # type: ignore[attr-defined]
                hint = text_of(given.get("hint"))
                yield Found(
                    "",
                    text_of(given["id"]),
                    kind.lower(),
                    text_of(given["msg"]),
                    "",
                    hint,
                    module.where,
                )


def _guarantee(given: dict[str, ast.expr], where: str) -> Found:
    text = {name: text_of(value) for name, value in given.items()}
    stops = "stops" not in given or ast.unparse(given["stops"]) != "False"
    waiver = f" To run all the same: `{text['waiver']}=1`." if "waiver" in given else ""
    return Found(
        check=text["finding"],
        id=text["id"],
        severity="error" if stops else "warning",
        what=text["what"],
        why=text["why"],
        mend=text["mend"] + waiver,
        where=where,
    )


def _whole(node: ast.expr) -> str:
    """A finding that passes on another's text says only that."""
    text = text_of(node)
    return "What is wrong is named." if text == "…" else text


def _severity(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name.lower()
        case ast.IfExp(body=ast.Name(id=first), orelse=ast.Name(id=second)):
            return f"{first.lower()} or {second.lower()}"
    return "critical or warning"
