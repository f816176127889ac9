"""checkov finds nothing but what .checkov.yaml skips, each skip with a reason and with need."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from template.translate import ROOT, TEMPLATES, Template, translate, write

pytestmark = pytest.mark.slow  # checkov itself takes half a minute

SECONDS = 180
LEAST_REASON = 60
CONFIGURATION = ROOT / ".checkov.yaml"
CHECKOV: list[str | Path] = [
    ROOT / ".tools/checkov/bin/checkov",
    "--framework",
    "cloudformation",
    "--skip-download",
]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": str(ROOT / ".tools/checkov"),
    "LC_ALL": "C.UTF-8",
}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "planted"}}
KEY = "AKIA" + "IOSFODNN7EXAMPLE"  # in two parts: not for those who look for keys

Found = dict[str, set[tuple[str, str]]]
"""File -> (logical id, check) of each failed check."""
PLANTED: dict[str, tuple[str, Any, tuple[str, str]]] = {
    "a role with every right": (
        "Resources/RemoveTagsWorkerRole/Properties/Policies/0/PolicyDocument/Statement/0",
        EVERYTHING,
        ("RemoveTagsWorkerRole", "CKV_AWS_62"),
    ),
    "a secret in the environment": (
        "Resources/RotateUserSig/Properties/Environment/Variables/AWS_ACCESS_KEY_ID",
        KEY,
        ("RotateUserSig", "CKV_AWS_45"),
    ),
    "logs that never expire": (
        "Resources/RemoveTagsWorkerLogGroup/Properties",
        {},
        ("RemoveTagsWorkerLogGroup", "CKV_AWS_66"),
    ),
    "a topic that is not encrypted": (
        "Resources/PlantedTopic",
        TOPIC,
        ("PlantedTopic", "CKV_AWS_26"),
    ),
}


def plant(template: Template, path: str, value: Any) -> None:
    *way, last = path.split("/")
    place: Any = template
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[int(last) if isinstance(place, list) else last] = value


def skipped() -> dict[str, str]:
    """Check -> the comment above it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    found = re.findall(r"((?:^  # .+\n)+)^  - (CKV_AWS_\d+)$", text, re.MULTILINE)
    assert len(found) == text.count("\n  - ")
    return {check: " ".join(comment.replace("#", " ").split()) for comment, check in found}


def run(files: list[Path], folder: Path, *options: str | Path) -> Found:
    """What is found in the files; of a configuration only what the options name."""
    done = subprocess.run(
        [*CHECKOV, *options, "--output", "json", "--file", *files],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 50
    found: Found = {file.name: set() for file in files}
    for file, resource, check in failed(report):
        found[file].add((resource, check))
    return found


def failed(report: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for one in report["results"]["failed_checks"]:
        yield Path(one["file_path"]).name, one["resource"].partition(".")[2], one["check_id"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkov")


@pytest.fixture(scope="module")
def files(
    written: Template, translated: Template, jobs: Template, monitoring: Template, folder: Path
) -> list[Path]:
    """The templates as written and as translated, and the first with faults."""
    planted = copy.deepcopy(written)
    for path, value, _ in PLANTED.values():
        plant(planted, path, value)
    templates = {
        "translated": translated,
        "translated_jobs": jobs,
        "translated_monitoring": monitoring,
        "planted": planted,
        "planted_translated": translate(planted),
    }
    for name, template in templates.items():
        write(template, folder / f"{name}.json")
    for name, source in TEMPLATES.items():
        (folder / f"{name}.yaml").write_bytes(source.read_bytes())
    return sorted(folder.glob("*.*"))


@pytest.fixture(scope="module")
def findings(files: list[Path], folder: Path) -> Found:
    return run(files, folder, "--config-file", CONFIGURATION)


@pytest.fixture(scope="module")
def without_skips(files: list[Path], folder: Path) -> Found:
    return run(files, folder)


@pytest.mark.parametrize(
    "file",
    [f"{name}.yaml" for name in TEMPLATES]
    + ["translated.json", "translated_jobs.json", "translated_monitoring.json"],
)
def test_nothing_is_found(findings: Found, file: str) -> None:
    assert findings[file] == set()


@pytest.mark.parametrize(
    "names", [("template.yaml", "jobs.yaml"), ("translated.json", "translated_jobs.json")]
)
def test_each_skip_is_needed(without_skips: Found, names: tuple[str, str]) -> None:
    assert {check for name in names for _, check in without_skips[name]} == set(skipped())


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.parametrize("file", ["planted.json", "planted_translated.json"])
def test_fault_is_found(findings: Found, file: str, fault: str) -> None:
    _, _, finding = PLANTED[fault]
    assert finding in findings[file]


def test_each_skip_has_its_reason() -> None:
    for check, reason in skipped().items():
        assert len(reason) >= LEAST_REASON, check
        assert reason.endswith("."), check


def test_nothing_is_skipped_elsewhere() -> None:
    assert [path.name for path in ROOT.glob(".checkov*")] == [CONFIGURATION.name]
    for path in (ROOT / "Makefile", ROOT / ".ci/run", *TEMPLATES.values()):
        text = path.read_text(encoding="utf-8")
        assert "--skip-check" not in text
        assert not re.search(r"checkov:\s*skip", text)  # neither in a comment nor in Metadata


def test_make_check_runs_it_on_the_templates_as_written_and_as_translated() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    text = done.stdout.replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if "bin/checkov" in line)
    assert "--config-file .checkov.yaml" in line
    files = [str(path.relative_to(ROOT)) for path in TEMPLATES.values()]
    assert line.endswith(f"--file {' '.join(files)} .aws-sam/translated/*.json")
    assert "template.translate .aws-sam/translated" in text
