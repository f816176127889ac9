"""`budget`: what the stack does not take pauses nothing, and Ctrl-C leaves nothing paused."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest

from support.operated_stack import OperatedStack, operated_stack
from support.ops import ROOT, operated
from support.rotation import aws_variables
from timpush_ops.budget import Patience, change_budget
from timpush_server import TimPushServer

SECONDS = 60.0
TIMEOUT = 120


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OperatedStack]:
    """A stack whose worker polls its queue, and may run for two minutes."""
    with (
        operated(aws_url, monkeypatch),
        TimPushServer() as timpush,
        operated_stack(aws_url, timpush) as made,
    ):
        functions = boto3.client("lambda")
        functions.update_function_configuration(
            FunctionName=made.outputs["WorkerFunctionName"], Timeout=TIMEOUT
        )
        yield made
        functions.delete_event_source_mapping(UUID=made.outputs["WorkerMappingId"])


def state(stack: OperatedStack) -> str:
    """Whether the worker polls."""
    found = boto3.client("lambda").get_event_source_mapping(UUID=stack.outputs["WorkerMappingId"])
    return str(found["State"])


def calls(stack: OperatedStack) -> str:
    """The stack's AppCallsPerSecond."""
    [described] = boto3.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in described["Parameters"]}
    return parameters["AppCallsPerSecond"]


def test_json_says_what_changed_and_progress_is_elsewhere(stack: OperatedStack) -> None:
    boto3.client("lambda").update_event_source_mapping(
        UUID=stack.outputs["WorkerMappingId"], Enabled=False
    )
    done = stack.run("budget", "--app-calls", 60, "--output", "json")

    changed = {"AppCallsPerSecond": "60"}
    assert json.loads(done.stdout) == {"StackName": stack.name, "Changed": changed}
    assert (done.code, f"updating the stack {stack.name}" in done.output) == (0, True)
    assert (calls(stack), state(stack)) == ("60", "Disabled")


def test_a_value_that_the_stack_does_not_take_pauses_nothing(stack: OperatedStack) -> None:
    done = stack.run("budget", "--app-calls", 500)
    assert (done.code, state(stack)) == (1, "Enabled")
    assert "AppCallsPerSecond can be 60, 80, 100, and not 500" in done.output
    assert "pausing" not in done.output


def test_an_interrupted_wait_leaves_everything_as_it_was(stack: OperatedStack) -> None:
    said: list[str] = []

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    target = {
        "mapping_id": stack.outputs["WorkerMappingId"],
        "function_name": stack.outputs["WorkerFunctionName"],
    }
    stacks, functions = boto3.client("cloudformation"), boto3.client("lambda")
    changed = {"AppCallsPerSecond": "60"}
    patience = Patience(said.append, sleep=interrupted)
    with pytest.raises(KeyboardInterrupt):
        change_budget(stacks, functions, stack.name, target, changed, patience)
    assert (state(stack), calls(stack)) == ("Enabled", "100")
    assert said[-1] == "resuming the mapping: nothing was changed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_time_limit_resume_and_end_with_130(stack: OperatedStack, number: int) -> None:
    arguments = ("budget", "--stack-name", stack.name, "--app-calls", "60")
    process = subprocess.Popen(
        [sys.executable, "-B", ROOT / "tools/timpush_ops", *arguments],
        env=aws_variables(stack.operated.aws_url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        for line in process.stderr:
            if line.startswith(f"waiting {TIMEOUT} s"):
                break
        assert state(stack) == "Disabled"
        process.send_signal(number)
        rest = process.communicate(timeout=SECONDS)[1]
    finally:
        process.kill()
        process.wait(SECONDS)
    assert (process.returncode, state(stack)) == (130, "Enabled")
    assert f"./ops doctor --stack-name {stack.name}" in rest
    assert "Traceback" not in rest
