"""What jobs/ states of the state machine, and what stays when the stack is deleted."""

import json
from typing import Any

from template.reading import properties
from template.translate import ROOT, Template

MACHINE: dict[str, Any] = json.loads((ROOT / "jobs/jobs.asl.json").read_text(encoding="utf-8"))
HALF_AN_HOUR = 1_800


def tasks(machine: dict[str, Any] = MACHINE) -> dict[str, dict[str, Any]]:
    """Each state that invokes a function, those within maps included."""
    found: dict[str, dict[str, Any]] = {}
    for name, state in machine["States"].items():
        if state.get("Resource", "").endswith(":lambda:invoke"):
            found[name] = state
        found |= tasks(state["ItemProcessor"]) if "ItemProcessor" in state else {}
    return found


def expected_wait(retry: dict[str, Any]) -> float:
    """Seconds that all attempts wait on the average: full jitter takes half of each delay."""
    assert retry["JitterStrategy"] == "FULL"
    names = ("IntervalSeconds", "BackoffRate", "MaxDelaySeconds")
    first, rate, longest = (float(retry[name]) for name in names)
    attempts: int = retry["MaxAttempts"]
    return sum(min(first * rate**n, longest) for n in range(attempts)) / 2


def test_a_step_that_lambda_throttles_is_tried_again_for_half_an_hour() -> None:
    assert len(tasks()) == 8
    for name, task in tasks().items():
        throttled, others = task["Retry"]  # the first that matches decides
        assert throttled["ErrorEquals"] == ["Lambda.TooManyRequestsException"], name
        assert others["ErrorEquals"] == ["States.ALL"], name
        assert 0.9 * HALF_AN_HOUR <= expected_wait(throttled) <= 1.1 * HALF_AN_HOUR
        assert expected_wait(others) < 120


def test_maps_start_executions_and_look_after_those_alone(jobs: Template) -> None:
    start, follow = properties(jobs, "JobsStateMachineMaps")["PolicyDocument"]["Statement"]
    assert start["Action"] == "states:StartExecution"
    assert start["Resource"] == {"Ref": "JobsStateMachine"}
    followed = ("DescribeExecution", "RedriveExecution", "StopExecution")
    assert sorted(follow["Action"]) == [f"states:{name}" for name in followed]
    executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:"
    names = {one["Fn::Sub"].removeprefix(executions) for one in follow["Resource"]}
    assert names == {"${JobsStateMachine.Name}:*", "${JobsStateMachine.Name}/*"}


def test_the_bucket_stays_with_its_policy_and_a_failed_deployment_leaves_neither(
    translated: Template,
) -> None:
    for name in ("JobsBucket", "JobsBucketPolicy"):
        assert translated["Resources"][name]["DeletionPolicy"] == "RetainExceptOnCreate", name
