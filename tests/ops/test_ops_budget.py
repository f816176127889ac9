"""`budget`: what the stack does not take pauses nothing, and Ctrl-C leaves nothing paused."""

import io
import json
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from support.ops import ROOT, Done, Operated, operated
from support.rotation import aws_variables
from timpush_ops.budget import Patience, change_budget

SECONDS = 60.0


@dataclass
class Stack:
    """A stack whose worker polls its queue."""

    operated: Operated
    name: str
    function: str
    mapping: str

    def budget(self, *options: object) -> Done:
        return self.operated.run("budget", "--stack-name", self.name, *options)

    def state(self) -> str:
        found = boto3.client("lambda").get_event_source_mapping(UUID=self.mapping)
        return str(found["State"])

    def parameter(self) -> str:
        described = boto3.client("cloudformation").describe_stacks(StackName=self.name)
        [parameter] = described["Stacks"][0]["Parameters"]
        return parameter["ParameterValue"]


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with operated(aws_url, monkeypatch) as made:
        functions: Any = boto3.client("lambda")
        name = f"stack-{uuid.uuid4().hex}"
        functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=boto3.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")[
                "Role"
            ]["Arn"],
            Handler="app.lambda_handler",
            Timeout=120,
            Code={"ZipFile": archive()},
        )
        attributes: Any = made.sqs.get_queue_attributes(
            QueueUrl=made.queue_url, AttributeNames=["QueueArn"]
        )["Attributes"]
        mapping = functions.create_event_source_mapping(
            FunctionName=name, EventSourceArn=attributes["QueueArn"]
        )["UUID"]
        template = {
            "Parameters": {
                "AppCallsPerSecond": {
                    "Type": "Number",
                    "Default": 100,
                    "AllowedValues": [60, 80, 100],
                }
            },
            "Resources": {"Any": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {
                "WorkerFunctionName": {"Value": name},
                "WorkerMappingId": {"Value": mapping},
            },
        }
        boto3.client("cloudformation").create_stack(
            StackName=name, TemplateBody=json.dumps(template)
        )
        try:
            yield Stack(made, name, name, mapping)
        finally:
            functions.delete_event_source_mapping(UUID=mapping)


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("app.py", "")
    return made.getvalue()


def test_json_says_what_changed_and_progress_is_elsewhere(stack: Stack) -> None:
    boto3.client("lambda").update_event_source_mapping(UUID=stack.mapping, Enabled=False)
    done = stack.budget("--app-calls", 60, "--output", "json")

    changed = {"AppCallsPerSecond": "60"}
    assert json.loads(done.stdout) == {"StackName": stack.name, "Changed": changed}
    assert (done.code, f"updating the stack {stack.name}" in done.output) == (0, True)
    assert (stack.parameter(), stack.state()) == ("60", "Disabled")


def test_a_value_that_the_stack_does_not_take_pauses_nothing(stack: Stack) -> None:
    done = stack.budget("--app-calls", 500)
    assert (done.code, stack.state()) == (1, "Enabled")
    assert "AppCallsPerSecond can be 60, 80, 100, and not 500" in done.output
    assert "pausing" not in done.output


def test_an_interrupted_wait_leaves_everything_as_it_was(stack: Stack) -> None:
    said: list[str] = []

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    target = {"mapping_id": stack.mapping, "function_name": stack.function}
    stacks, functions = boto3.client("cloudformation"), boto3.client("lambda")
    changed = {"AppCallsPerSecond": "60"}
    patience = Patience(said.append, sleep=interrupted)
    with pytest.raises(KeyboardInterrupt):
        change_budget(stacks, functions, stack.name, target, changed, patience)
    assert (stack.state(), stack.parameter()) == ("Enabled", "100")
    assert said[-1] == "resuming the mapping: nothing was changed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_time_limit_resume_and_end_with_130(stack: Stack, number: int) -> None:
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
            if line.startswith("waiting 120 s"):
                break
        assert stack.state() == "Disabled"
        time.sleep(0.2)  # until it waits
        process.send_signal(number)
        rest = process.communicate(timeout=SECONDS)[1]
    finally:
        process.kill()
        process.wait(SECONDS)
    assert (process.returncode, stack.state()) == (130, "Enabled")
    assert f"./ops doctor --stack-name {stack.name}" in rest
    assert "Traceback" not in rest
