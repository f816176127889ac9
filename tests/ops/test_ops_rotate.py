"""`rotate`: a new UserSig is current at the end, or the command says why it is not."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from support.ops import ROOT, Done, Operated, operated
from support.raw_server import Answer, answer, raw_server
from support.rotation import aws_variables
from timpush_ops.cli import cli
from timpush_ops.rotation import FAILED, Patience, RotateError, reason_of, rotate_now

GROUP = "/aws/lambda/rotation"
OLD, OTHER, NEW = (f"{number:032}" for number in range(3))
STUCK = answer(
    json.dumps({"__type": "InvalidRequestException", "message": "A previous rotation..."}).encode(),
    status=400,
)
DONE = answer(b"{}")


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        yield made


def described(stages: dict[str, str]) -> Answer:
    """What DescribeSecret answers, for version -> label."""
    labels = {version: [label] for version, label in stages.items()}
    return answer(json.dumps({"Name": "usersig", "VersionIdsToStages": labels}).encode())


def logged(*lines: str) -> Answer:
    events = [{"message": line} for line in lines]
    return answer(json.dumps({"events": events}).encode())


def rotate(monkeypatch: pytest.MonkeyPatch, url: str) -> Done:
    for name, value in aws_variables(url).items():
        monkeypatch.setenv(name, value)
    options = ("--secret-id", "usersig", "--rotation-log-group", GROUP, "--output", "json")
    done = CliRunner(mix_stderr=False).invoke(cli, ["rotate", *options])
    return Done(done.stderr + done.stdout, done.exit_code, done.stdout)


def operations(requests: list[bytes]) -> list[str]:
    return [
        match[1].decode()
        for request in requests
        if (match := re.search(rb"X-Amz-Target: \w+\.(\w+)", request))
    ]


class FakeTime:
    """Two minutes pass at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def patience(self) -> Patience:
        return Patience(lambda: self.seconds, self.sleep, lambda: 1_000.0)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def clients(url: str) -> tuple[Any, Any]:
    keys: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    made = [
        boto3.client(name, endpoint_url=url, region_name="us-east-1", **keys)
        for name in ("secretsmanager", "logs")
    ]
    return made[0], made[1]


def test_a_new_version_is_current_at_the_end(stack: Operated) -> None:
    secrets: Any = boto3.client("secretsmanager")
    name = f"usersig-{uuid.uuid4().hex}"
    before = secrets.create_secret(Name=name, SecretString="{}")["VersionId"]

    done = stack.run("rotate", "--secret-id", name, "--rotation-log-group", GROUP)

    after = secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
    [current] = [version for version, labels in after.items() if "AWSCURRENT" in labels]
    assert current != before
    assert (done.code, done.output) == (
        0,
        f"the UserSig was rotated: version {current} is current\n",
    )


def test_a_stuck_rotation_is_ended_and_another_started(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = (
        described({OLD: "AWSCURRENT", OTHER: "AWSPENDING"}),
        STUCK,
        DONE,
        DONE,
        described({OLD: "AWSPREVIOUS", NEW: "AWSCURRENT"}),
    )
    with raw_server(*answers) as server:
        done = rotate(monkeypatch, server.url)

    assert done.code == 0, done.output
    assert json.loads(done.stdout)["VersionId"] == NEW
    assert operations(server.requests) == [
        *("DescribeSecret", "RotateSecret", "UpdateSecretVersionStage", "RotateSecret"),
        "DescribeSecret",
    ]
    label = json.loads(server.requests[2].partition(b"\r\n\r\n")[2])
    assert label["RemoveFromVersionId"] == OTHER
    assert "MoveToVersionId" not in label


def test_without_a_schedule_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(described({OLD: "AWSCURRENT"}), STUCK) as server:
        done = rotate(monkeypatch, server.url)
    assert (done.code, "needs the parameter RotationSchedule" in done.output) == (1, True)
    assert operations(server.requests) == ["DescribeSecret", "RotateSecret"]


def test_a_stack_without_a_signing_key(stack: Operated) -> None:
    template = {
        "Resources": {"Any": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"SecretArn": {"Value": "any"}},
    }
    name = f"stack-{uuid.uuid4().hex}"
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    done = stack.run("rotate", "--stack-name", name)
    assert (done.code, "rotates only with SigningKeySecretArn" in done.output) == (2, True)


def test_a_label_of_the_current_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that succeeded may leave it there."""
    both = {"Name": "usersig", "VersionIdsToStages": {OLD: ["AWSCURRENT", "AWSPENDING"]}}
    with raw_server(answer(json.dumps(both).encode()), STUCK) as server:
        done = rotate(monkeypatch, server.url)
    assert (done.code, operations(server.requests)) == (1, ["DescribeSecret", "RotateSecret"])


def test_the_function_logs_what_is_looked_for() -> None:
    code = (ROOT / "functions/rotate_usersig/app.py").read_text(encoding="utf-8")
    assert f'logger.error("{FAILED}", extra={{"code": error.code, "reason": ' in code


class TestNotRotated:
    def reason(self, *lines: str) -> str:
        same = described({OLD: "AWSCURRENT"})
        empty = answer(json.dumps({"events": [], "nextToken": "more"}).encode())
        with raw_server(same, DONE, *[same] * 61, empty, logged(*lines)) as server:
            arguments = (*clients(server.url), "usersig", GROUP, FakeTime().patience())
            with pytest.raises(RotateError) as raised:
                rotate_now(*arguments)
        body = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
        assert (body["logGroupName"], body["startTime"]) == (GROUP, 1_000_000)
        return str(raised.value)

    def test_the_log_says_why(self) -> None:
        line = json.dumps({"message": FAILED, "reason": "70009: the key is outdated"})
        text = self.reason("START", line)
        assert text.startswith("the UserSig was not rotated within 120 s: 70009: the key is")
        assert text.endswith('(docs/usersig.md, "When a rotation fails")')

    def test_the_log_says_nothing(self) -> None:
        assert "the function may not have run" in self.reason()


@pytest.mark.parametrize("line", ["START", "[]", '{"message": "the step is done"}', "{"])
def test_other_lines_of_the_log_are_no_reason(line: str) -> None:
    assert reason_of(line) == ""
