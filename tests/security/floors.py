"""python -m tests.security.floors: compares the installed versions with the lowest ones without a
known vulnerability; offline.

It checks only the packages in security-floors.txt, a list that people maintain.
"""

import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ROOT / "security-floors.txt"

FOUND, NOT_CHECKED = 1, 3


class Floor(NamedTuple):
    """lowest: the first version without the vulnerability. why: the vulnerability."""

    package: str
    lowest: Version
    why: str


class Verdict(NamedTuple):
    """checked: how many packages. code: the exit code."""

    code: int
    checked: int
    lines: list[str]


def main() -> int:
    verdict = look()
    print("\n".join(verdict.lines))
    return verdict.code


def look() -> Verdict:
    return judged(read(FLOORS.read_text().splitlines()), installed())


def read(lines: Iterable[str]) -> list[Floor]:
    """package>=version  # why; the reason is required."""
    floors = []
    for line in lines:
        text, _, why = line.partition("#")
        if not text.strip():
            continue
        requirement = Requirement(text.strip())
        [bound] = requirement.specifier
        if bound.operator != ">=" or not why.strip():
            raise ValueError(f"security-floors.txt: {line!r} is not package>=version  # why")
        floors.append(
            Floor(canonicalize_name(requirement.name), Version(bound.version), why.strip())
        )
    return floors


def installed() -> dict[str, Version]:
    return {
        canonicalize_name(each.metadata["Name"]): Version(each.version)
        for each in metadata.distributions(path=[path for path in sys.path if path])
        if each.metadata["Name"]
    }


def judged(floors: list[Floor], installed: Mapping[str, Version]) -> Verdict:
    """A floor of a package that is not installed proves nothing: the name is wrong, or the line is
    obsolete."""
    below = [
        f"floors: {floor.package} {installed[floor.package]} is below {floor.lowest}: {floor.why}"
        for floor in floors
        if floor.package in installed and installed[floor.package] < floor.lowest
    ]
    absent = [floor.package for floor in floors if floor.package not in installed]
    checked = len(floors) - len(absent)
    summary = (
        f"floors: {checked} packages checked, {len(absent)} absent,"
        f" {len(installed) - checked} without a floor, {len(below)} too old"
    )
    if below:
        return Verdict(FOUND, checked, [*below, summary])
    if not floors or absent:
        return Verdict(
            NOT_CHECKED,
            checked,
            [f"floors: not checked: {', '.join(absent) or 'anything'}", summary],
        )
    return Verdict(0, checked, [summary])


if __name__ == "__main__":
    sys.exit(main())
