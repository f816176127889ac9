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


def plant(template: Template, path: str, value: Any) -> Template:
    planted = copy.deepcopy(template)
    *way, last = path.split("/")
    place = planted
    for step in way:
        place = place[step]
    place[last] = value
    if value is None:
        del place[last]
    return planted


def test_translated_template_is_clean(translated: Template) -> None:
    assert lint(translated) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_fault_is_found(written: Template, fault: str) -> None:
    path, value, rule = PLANTED[fault]
    found = lint(translate(plant(written, path, value)))
    assert any(one.startswith(rule) for one in found), found
