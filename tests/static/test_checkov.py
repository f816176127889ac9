"""checkov finds nothing but what is skipped beside its resource, with a reason and with need."""

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from template.reading import Finding, of_type, skips
from template.translate import ROOT, Template, translate, write

SECONDS = 180
LEAST_REASON = 60
CHECKOV = [".tools/checkov/bin/checkov", "--framework", "cloudformation", "--skip-download"]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": str(ROOT / ".tools/checkov"),
    "LC_ALL": "C.UTF-8",
}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "planted"}}
KEY = "AKIA" + "IOSFODNN7EXAMPLE"  # in two parts: not for those who look for keys

PLANTED: dict[str, tuple[str, Any, Finding]] = {
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
    "logs that are kept for ever": (
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


def bare(template: Template) -> Template:
    """The template without its skips."""
    stripped = copy.deepcopy(template)
    for resource in stripped["Resources"].values():
        resource.get("Metadata", {}).pop("checkov", None)
    return stripped


def written_names(translated: Template) -> dict[str, str]:
    """Logical id of a stage -> that of its API, which is the one written."""
    return {
        name: one["Properties"]["RestApiId"]["Ref"]
        for name, one in of_type(translated, "AWS::ApiGateway::Stage").items()
    }


@pytest.fixture(scope="module")
def planted(written: Template) -> Template:
    faulty = copy.deepcopy(written)
    for path, value, _ in PLANTED.values():
        plant(faulty, path, value)
    return faulty


@pytest.fixture(scope="module")
def findings(
    written: Template,
    translated: Template,
    planted: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, set[Finding]]:
    """File -> what is found, with the names as written: one run for all, since it takes seconds."""
    folder = tmp_path_factory.mktemp("checkov")
    templates = {
        "translated": translated,
        "bare_written": bare(written),
        "bare_translated": translate(bare(written)),
        "planted_written": planted,
        "planted_translated": translate(planted),
    }
    for name, template in templates.items():
        write(template, folder / f"{name}.json")
    files = [ROOT / "template.yaml", *(folder / f"{name}.json" for name in templates)]
    found: dict[str, set[Finding]] = {file.stem: set() for file in files}
    names = written_names(translated)
    for file, resource, check in run(files):
        found[file].add((names.get(resource, resource), check))
    return found


def run(files: list[Path]) -> Iterator[tuple[str, str, str]]:
    """Each failed check as (file, logical id, check)."""
    done = subprocess.run(
        [*CHECKOV, "--output", "json", "--file", *files],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 100
    for one in report["results"]["failed_checks"]:
        yield Path(one["file_path"]).stem, one["resource"].partition(".")[2], one["check_id"]


@pytest.mark.parametrize("file", ["template", "translated"])
def test_nothing_is_found(findings: dict[str, set[Finding]], file: str) -> None:
    assert findings[file] == set()


@pytest.mark.parametrize("file", ["bare_written", "bare_translated"])
def test_each_skip_is_needed(
    findings: dict[str, set[Finding]], written: Template, file: str
) -> None:
    assert findings[file] == set(skips(written))


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.parametrize("file", ["planted_written", "planted_translated"])
def test_fault_is_found(findings: dict[str, set[Finding]], file: str, fault: str) -> None:
    _, _, finding = PLANTED[fault]
    assert finding in findings[file]


def test_each_skip_has_its_reason(written: Template) -> None:
    for finding, reason in skips(written).items():
        assert len(reason) >= LEAST_REASON, finding
        assert reason.endswith("."), finding


def test_nothing_is_skipped_elsewhere() -> None:
    assert [path.name for path in ROOT.glob(".checkov*")] == []
    for path in ("Makefile", ".ci/run", "template.yaml"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "--skip-check" not in text
        assert "checkov:skip" not in text


def test_make_check_runs_it_on_the_template_as_written_and_as_translated() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if "bin/checkov" in line)
    assert line.endswith("--quiet --compact --file template.yaml .aws-sam/translated.json")
    assert "template.translate .aws-sam/translated.json" in done.stdout
