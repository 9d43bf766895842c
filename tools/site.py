"""Hooks of the documentation site (`mkdocs.yml`): the decisions in the navigation, and links from a
page to a file outside of `docs/`."""

import logging
import re
from pathlib import Path, PurePosixPath
from typing import Any

logger = logging.getLogger("mkdocs.hooks.site")

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./)+[^)#\s]*)(?:#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """In `nav`, a folder (`adr/`) stands for all its pages in the order of their names."""
    config["nav"] = [_expanded(entry, Path(config["docs_dir"])) for entry in config["nav"]]
    return config


def _expanded(entry: dict[str, Any], docs: Path) -> dict[str, Any]:
    ((title, pages),) = entry.items()
    if not isinstance(pages, str) or not pages.endswith("/"):
        return entry
    names = sorted(page.name for page in (docs / pages).glob("*.md"))
    # The folder's own page comes first.
    return {title: [f"{pages}{name}" for name in sorted(names, key=lambda n: n != "README.md")]}


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The site has no files of the repository: a link to one becomes its text.

    MkDocs checks links between pages; this checks that the other files exist. A warning fails the
    strict build.
    """
    docs = Path(config["docs_dir"]).resolve()
    folder = PurePosixPath(page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        target = (docs / folder / link["target"]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            logger.warning(
                "%s links to %s, which does not exist.", page.file.src_uri, link["target"]
            )
        return link["text"]

    return LINK.sub(replaced, markdown)
