"""python -m tests.security.audit: known vulnerabilities in installed packages, by two gates. A
package that was not checked is a failure.

The first gate asks an online service for advisories about every package. The second compares the
installed versions with security-floors.txt, offline.
"""

import json
import subprocess
import sys

from . import floors
from .floors import FOUND, NOT_CHECKED, Verdict

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
            "advisories: 0 packages checked, the service cannot be"
            f" reached:\n{audit.stderr.strip()[-500:]}"
        )
        return Verdict(NOT_CHECKED, 0, [message])
    return judged(json.loads(audit.stdout)["dependencies"])


def judged(packages: list[dict]) -> Verdict:
    """pip-audit itself succeeds even if it has skipped every package."""
    vulnerable = [
        f"advisories: {package['name']} {package['version']}: {found['id']}, fixed in"
        f" {found['fix_versions']}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    checked = len(packages) - len(skipped)
    summary = (
        f"advisories: {checked} packages checked, {len(skipped)} not, {len(vulnerable)}"
        " vulnerabilities"
    )
    if vulnerable:
        return Verdict(FOUND, checked, [*vulnerable, summary])
    if not packages or skipped:
        message = f"advisories: not checked: {', '.join(skipped) or 'anything'}"
        return Verdict(NOT_CHECKED, checked, [message, summary])
    return Verdict(0, checked, [summary])


def code(verdicts: list[Verdict]) -> int:
    """A vulnerability takes precedence over a check that was skipped."""
    codes = {verdict.code for verdict in verdicts}
    return next((each for each in (FOUND, NOT_CHECKED) if each in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
