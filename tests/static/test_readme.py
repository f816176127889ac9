"""README.md says of the template what the template says."""

import re
from pathlib import Path

from benchmarks.document import BEGIN, block
from template.translate import Template

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_each_output_that_it_names_exists(written: Template) -> None:
    named = set(re.findall(r"outputs? `(\w+)`", README))
    assert named
    assert named <= set(written["Outputs"])


def test_each_make_target_that_it_names_exists() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)", README)) | set(
        re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE)
    )
    assert {"run", "test", "local"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_each_path_of_the_layout_exists() -> None:
    root = Path(__file__).parents[2]
    layout = README.partition("## Layout")[2]
    paths = re.findall(r"^    ([\w/.]+)", layout, re.MULTILINE)
    assert "template.yaml" in paths
    assert [path for path in paths if not (root / path).exists()] == []


def test_the_figures_are_those_of_the_benchmarks() -> None:
    document = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text()
    assert block(README) == block(document)
    assert block(README).removeprefix(BEGIN).count("\n| ") == 8
