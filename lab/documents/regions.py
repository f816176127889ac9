"""Marked regions of a Markdown file, and what is written into them.

<!-- table: NAME; written by make docs -->
...
<!-- end of table -->
"""

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
REGION = re.compile(
    r"(<!-- table: (?P<name>[a-z-]+); written by make docs -->\n).*?(<!-- end of table -->)",
    re.DOTALL,
)
MARK = re.compile(r"<!-- (?:table:|end of table)")


def documents() -> list[Path]:
    """The files that may hold regions."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def names(text: str) -> list[str]:
    """The tables that a text holds.

    Raises:
        ValueError: a mark has no partner, or is not written as above.
    """
    found = [match["name"] for match in REGION.finditer(text)]
    if len(MARK.findall(text)) != 2 * len(found):
        raise ValueError("a table's mark without its partner, or not as make docs knows it")
    return found


def renew(text: str, tables: Mapping[str, str]) -> str:
    """The text with the current table in each region.

    Raises:
        ValueError: a mark is wrong, or names no table.
    """
    unknown = set(names(text)) - set(tables)
    if unknown:
        raise ValueError(f"no such table: {', '.join(sorted(unknown))}")
    return REGION.sub(lambda match: match[1] + tables[match["name"]] + "\n" + match[3], text)
