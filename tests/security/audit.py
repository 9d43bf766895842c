"""python -m tests.security.audit: known holes in all that is installed; what was not looked at is no pass."""

import json
import subprocess
import sys

FOUND, NOT_LOOKED_AT = 1, 3
COMMAND = (sys.executable, "-m", "pip_audit", "--local", "--format", "json", "--progress-spinner", "off")


def main() -> int:
    audit = subprocess.run(COMMAND, capture_output=True, text=True)
    if not audit.stdout.strip():
        print(f"audit: the vulnerability service cannot be reached:\n{audit.stderr.strip()[-500:]}")
        return NOT_LOOKED_AT
    code, said = judged(json.loads(audit.stdout)["dependencies"])
    print("\n".join(said))
    return code


def judged(packages: list[dict]) -> tuple[int, list[str]]:
    """An exit code and what to say. The tool itself is content when it has skipped every package."""
    holes = [
        f"audit: {package['name']} {package['version']}: {hole['id']}, mended in {hole['fix_versions']}"
        for package in packages
        for hole in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    summary = f"audit: {len(packages) - len(skipped)} packages looked at, {len(skipped)} not, {len(holes)} holes"
    if holes:
        return FOUND, [*holes, summary]
    if not packages or skipped:
        return NOT_LOOKED_AT, [f"audit: not looked at: {', '.join(skipped) or 'anything'}", summary]
    return 0, [summary]


if __name__ == "__main__":
    sys.exit(main())
