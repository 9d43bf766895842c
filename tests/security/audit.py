"""python -m tests.security.audit: known vulnerabilities in installed packages, by two gates. A
package that was not checked is a failure.

The first gate asks an online service for advisories about every package. The second compares the
installed versions with security-floors.txt, offline.
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
        print("\n".join(verdict.lines))
    return code(verdicts)


def advisories() -> Verdict:
    audit = subprocess.run(COMMAND, capture_output=True, text=True)
    if not audit.stdout.strip():
        message = (
            "advisories: 0 packages looked at, the service cannot be"
            f" reached:\n{audit.stderr.strip()[-500:]}"
        )
        return Verdict(NOT_LOOKED_AT, 0, [message])
    return judged(json.loads(audit.stdout)["dependencies"])


def judged(packages: list[dict]) -> Verdict:
    """pip-audit itself succeeds even if it has skipped every package."""
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
        message = f"advisories: not looked at: {', '.join(skipped) or 'anything'}"
        return Verdict(NOT_LOOKED_AT, looked_at, [message, summary])
    return Verdict(0, looked_at, [summary])


def code(verdicts: list[Verdict]) -> int:
    """A vulnerability takes precedence over a check that was skipped."""
    codes = {verdict.code for verdict in verdicts}
    return next((each for each in (FOUND, NOT_LOOKED_AT) if each in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
