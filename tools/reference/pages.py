"""All generated pages of docs/reference."""

from collections.abc import Callable

from . import addresses, commands, doors, events, findings, problems, publications, settings
from .source import ROOT

FOLDER = ROOT / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "doors.md": doors.page,
    "settings.md": settings.page,
    "commands.md": commands.page,
    "addresses.md": addresses.page,
    "problems.md": problems.page,
    "events.md": events.page,
    "publications.md": publications.page,
    "checks.md": findings.checks_page,
    "doctor.md": findings.doctor_page,
}


def pages() -> dict[str, str]:
    """File name -> text, of every generated page. Needs Django set up, and no database."""
    return {name: page() for name, page in PAGES.items()}
