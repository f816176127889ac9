"""cfn-lint finds nothing in the translated template, and does find what is put there."""

import copy
from typing import Any

import pytest

from template.translate import Template, lint, translate

WORKER = "Resources/RemoveTagsWorker/Properties"
EVENT = f"{WORKER}/Events/Queue/Properties"
PLANTED: dict[str, tuple[str, Any, str]] = {
    "attribute that is not there": (
        f"{WORKER}/Role",
        {"Fn::GetAtt": ["RemoveTagsQueue", "X"]},
        "E1010",
    ),
    "batch too large": (f"{EVENT}/BatchSize", 99_999, "E3034"),
    "concurrency too low": (f"{EVENT}/ScalingConfig/MaximumConcurrency", 1, "E3034"),
    "unknown response type": (f"{EVENT}/FunctionResponseTypes", ["ReportEverything"], "E3030"),
    "timeout too long": (f"{WORKER}/Timeout", 1_000, "E3717"),
    "visibility below the timeout": (
        "Resources/RemoveTagsQueue/Properties/VisibilityTimeout",
        1,
        "E3505",
    ),
    "retention that logs do not have": (
        "Resources/RemoveTagsWorkerLogGroup/Properties/RetentionInDays",
        2,
        "E3030",
    ),
    "no policy on deletion": ("Resources/RemoveTagsQueue/DeletionPolicy", None, "I3011"),
}


def plant(template: Template, path: str, value: Any) -> None:
    *way, last = path.split("/")
    place = template
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value


@pytest.fixture(scope="module")
def found(written: Template) -> list[str]:
    """What is found with all faults planted at once: linting takes seconds."""
    planted = copy.deepcopy(written)
    for path, value, _ in PLANTED.values():
        plant(planted, path, value)
    return lint(translate(planted))


def test_translated_template_is_clean(application: Template) -> None:
    assert lint(application) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_fault_is_found(found: list[str], fault: str) -> None:
    path, _, rule = PLANTED[fault]
    name = path.split("/")[-1]
    assert any(one.startswith(f"{rule} ") and name in one for one in found), found
