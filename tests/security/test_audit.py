"""The audit's own gate: green means that everything was looked at."""

import pytest

from .audit import FOUND, NOT_LOOKED_AT, judged

GOOD = {"name": "good", "version": "1.0", "vulns": []}
HOLED = {"name": "holed", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
SKIPPED = {"name": "skipped", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([GOOD], 0),
        ([GOOD, HOLED], FOUND),
        ([HOLED, SKIPPED], FOUND),
        ([GOOD, SKIPPED], NOT_LOOKED_AT),
        ([], NOT_LOOKED_AT),
    ],
)
def test_only_what_was_looked_at_and_found_whole_passes(packages, code):
    assert judged(packages)[0] == code
