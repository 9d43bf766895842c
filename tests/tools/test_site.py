"""The documentation site: it is built from what there is, and what its pages name exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.reference.source import ROOT, modules

DOCS = ROOT / "docs"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
FETCHED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^ >]+")
# A path with a folder in it, in a table of the pages that name code and tests.
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|yml))`")
NAMING = ("explanation/patterns.md", "architecture.md")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_it_fetches_nothing_from_elsewhere(site):
    fetched = {
        f"{page.relative_to(site)}: {found}"
        for page in site.rglob("*.html")
        for found in FETCHED.findall(page.read_text())
        if "canonical" not in found
    }
    assert fetched == set()


def test_every_page_can_be_searched_for_without_a_server(site):
    index = (site / "search" / "search_index.js").read_text()
    assert index.startswith("var __index = ")
    for page in DOCS.rglob("*.md"):
        html = str(page.relative_to(DOCS).with_suffix(".html")).replace("README.html", "index.html")
        assert f'"{html}"' in index


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_of_the_pages_beside_the_site_lead_somewhere(page):
    broken = [link for link in LINK.findall(page.read_text()) if not (ROOT / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", NAMING)
def test_paths_that_a_page_names_exist(page):
    missing = [
        path
        for path in PATH.findall((DOCS / page).read_text())
        if not any((folder / path).exists() for folder in (ROOT, ROOT / "tests"))
    ]
    assert missing == [], f"docs/{page} names what is not there (any more): {missing}"


def test_the_picture_has_every_package_of_the_engine():
    picture = (DOCS / "images" / "architecture.svg").read_text()
    packages = {each.name.split(".")[1] for each in modules("eventstore") if "." in each.name}
    folders = {name for name in packages if (ROOT / "eventstore" / name).is_dir()}
    assert {name for name in folders - {"management"} if f">{name}<" not in picture} == set()


def test_every_term_of_the_glossary_has_its_place_and_one_paragraph():
    text = (DOCS / "glossary.md").read_text()
    terms = re.findall(r"^\*\*(.+?)\*\*\n: (.+(?:\n  .+)*)$", text, re.MULTILINE)
    names = [name for name, _ in terms]
    assert len(names) >= 50
    assert names == sorted(names, key=str.casefold)
    assert len(set(names)) == len(names)


def test_a_link_out_of_the_docs_must_lead_somewhere(tmp_path):
    from tools.site import on_page_markdown

    (tmp_path / "docs").mkdir()
    (tmp_path / "code.py").touch()
    page = type("Page", (), {"file": type("File", (), {"src_uri": "a.md"})})
    given = "[here](../code.py), [nowhere](../gone.py), [a page](b.md)"
    made = on_page_markdown(given, page=page, config={"docs_dir": str(tmp_path / "docs")})
    assert made == "here, nowhere, [a page](b.md)"


def test_the_navigation_of_decisions_is_their_folder():
    from tools.site import on_config

    config = on_config({"nav": [{"Decisions": "adr/"}], "docs_dir": str(DOCS)})
    ((title, pages),) = config["nav"][0].items()
    assert pages[0] == "adr/README.md"
    assert len(pages) == len(list(Path(DOCS / "adr").glob("*.md")))
