"""What the documents for contributors and reporters name exists."""

import re
import textwrap
from pathlib import Path

import pytest
from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs

from timpush.jobs.chunks import STOPPED
from timpush.jobs.options import NAMES
from timpush.jobs.report import NOT_SENT, UNSETTLED
from timpush.jobs.state import Document

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/security.md")
PLACES = ("functions", "layers", "jobs", "monitoring", "tests", "testing", "lab", "tools")
FOLDERS = ("docs", "tests", "tools", "layers", r"\.ci")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_path_that_it_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]*|[A-Z]+\.md|[a-z]+\.ya?ml)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_way_back_names_what_exists() -> None:
    """What *Undo* of a decision names, but for what an earlier version had."""
    ways = re.findall(r"\*Undo:\*(.*?)(?=\n\n|\Z)", read("docs/decisions.md"), re.DOTALL)
    named = [
        one for way in ways if " of version " not in way for one in re.findall(r"`(.+?)`", way)
    ]
    words = {word for one in named for word in re.findall(r"[A-Za-z_]{3,}", one)}
    assert len(words) > 100
    assert sorted(words - words_of_the_repository()) == []


def words_of_the_repository() -> set[str]:
    """Every word of code, templates and tools, and of their names."""
    kinds = ("*.py", "*.yaml", "*.json", "*.toml", "Makefile")
    found = [path for kind in kinds for path in ROOT.glob(kind)]
    found += [path for one in PLACES for kind in kinds for path in (ROOT / one).rglob(kind)]
    texts = [path.read_text(encoding="utf-8") for path in found]
    return set(re.findall(r"[A-Za-z_]{3,}", "\n".join([*map(str, found), *texts])))


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def test_each_path_of_the_layout_exists() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    layout = contributing.partition("## Layout")[2].partition("\n## ")[0]
    rows = re.findall(r"^(?: {2})?([\w/.]+(?:, [\w/.]+)*)  ", layout, re.MULTILINE)
    paths = [path for row in rows for path in row.split(", ")]
    assert "template.yaml" in paths
    assert len(paths) > 20
    places = (ROOT, ROOT / "layers/timpush/timpush")
    assert [one for one in paths if not any((place / one).exists() for place in places)] == []


def test_each_kind_of_test_is_explained() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = contributing.partition("## Tests")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`tests/([a-z0-9]+)/`", table))
    kinds = {path.parent.name for path in ROOT.glob("tests/**/test_*.py")}
    assert len(kinds) > 5
    assert kinds == explained


def test_the_rules_of_the_jobs_document_are_a_template(tmp_path: Path) -> None:
    text = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    resources = textwrap.indent("".join(blocks), "  ")
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources:\n{resources}", encoding="utf-8")
    found = cfn_lint(path.read_text(encoding="utf-8"), config=ManualArgs(regions=["us-east-1"]))
    assert [one.message for one in found] == []


def test_the_jobs_document_names_each_option_field_and_code() -> None:
    text = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
    codes = [code for code, _ in (STOPPED, NOT_SENT, UNSETTLED)]
    for name in (*NAMES, *codes, *Document.__annotations__.keys() - {"JobId"}):
        assert f"`{name}`" in text, name
