"""Every link of a document leads to a file, and to a heading, that exists; every page is found."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> set[str]:
    """The links of a page within the repository."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = {link or image for link, image in LINK.findall(text)}
    return {one for one in found if not one.startswith("https://")}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("start", ["README.md", "docs/README.md"])
def test_each_page_is_linked_from_the_readme_and_from_the_index(start: str) -> None:
    page = ROOT / start
    linked = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
    assert set(PAGES) - linked - {page} == set()
