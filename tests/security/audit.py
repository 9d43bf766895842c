"""python -m tests.security.audit: known holes in what is installed, by two gates; what was not
looked at is no pass.

The first asks a service for advisories about every package, and needs the network. The second
compares what is installed with security-floors.txt, and needs nothing.
"""

import json
import subprocess
import sys

from . import floors
from .floors import FOUND, NOT_LOOKED_AT, Verdict

COMMAND = (
    sys.executable,
    "-m",
    "pip_audit",
    "--local",
    "--format",
    "json",
    "--progress-spinner",
    "off",
)


def main() -> int:
    verdicts = [advisories(), floors.look()]
    for verdict in verdicts:
        print("\n".join(verdict.said))
    return code(verdicts)


def advisories() -> Verdict:
    audit = subprocess.run(COMMAND, capture_output=True, text=True)
    if not audit.stdout.strip():
        said = (
            "advisories: 0 packages looked at, the service cannot be"
            f" reached:\n{audit.stderr.strip()[-500:]}"
        )
        return Verdict(NOT_LOOKED_AT, 0, [said])
    return judged(json.loads(audit.stdout)["dependencies"])


def judged(packages: list[dict]) -> Verdict:
    """The tool itself is content when it has skipped every package."""
    holes = [
        f"advisories: {package['name']} {package['version']}: {hole['id']}, mended in"
        f" {hole['fix_versions']}"
        for package in packages
        for hole in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    looked_at = len(packages) - len(skipped)
    summary = f"advisories: {looked_at} packages looked at, {len(skipped)} not, {len(holes)} holes"
    if holes:
        return Verdict(FOUND, looked_at, [*holes, summary])
    if not packages or skipped:
        said = f"advisories: not looked at: {', '.join(skipped) or 'anything'}"
        return Verdict(NOT_LOOKED_AT, looked_at, [said, summary])
    return Verdict(0, looked_at, [summary])


def code(verdicts: list[Verdict]) -> int:
    """A hole that was found weighs more than what was not looked at."""
    codes = {verdict.code for verdict in verdicts}
    return next((each for each in (FOUND, NOT_LOOKED_AT) if each in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
