"""What the documents for contributors and reporters name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/security.md")
FOLDERS = ("docs", "tests", "tools", "layers", r"\.ci")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_path_that_it_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]*|[A-Z]+\.md|[a-z]+\.ya?ml)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_make_target_that_it_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {one for words in re.findall(r"`make ([a-z -]+)", text) for one in words.split()}
    assert named
    assert all(re.search(rf"^{one}:", makefile, re.MULTILINE) for one in named)


def test_each_kind_of_test_is_explained() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = contributing.partition("## Tests")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`tests/([a-z0-9]+)/`", table))
    kinds = {path.parent.name for path in ROOT.glob("tests/**/test_*.py")}
    assert len(kinds) > 5
    assert kinds == explained
