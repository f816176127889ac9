"""README.md says of the template what the template says."""

import re
from html import escape
from pathlib import Path

from benchmarks.document import BEGIN, block
from local.summary import NEXT
from template.translate import Template

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_each_output_that_it_names_exists(written: Template) -> None:
    named = set(re.findall(r"outputs? `(\w+)`", README))
    assert named
    assert named <= set(written["Outputs"])


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_it_has_the_picture_of_the_local_run_in_current_words() -> None:
    picture = (ROOT / "docs/images/run.svg").read_text(encoding="utf-8")
    for words in ("What was proven", "every user accounted for", *(command for command, _ in NEXT)):
        assert escape(words) in picture


def test_the_figures_are_those_of_the_benchmarks() -> None:
    document = (ROOT / "docs/benchmarks.md").read_text()
    assert block(README) == block(document)
    assert block(README).removeprefix(BEGIN).count("\n| ") == 8
