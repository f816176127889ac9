"""Each command makes the calls that its statements in docs/policies/operator.json allow, and no
statement allows more than its commands call.

A new command gets a row in docs/commands.md, a run in `RUNS`, and a statement for what is new in
it.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import urllib3

from support.operated_stack import ACCOUNT, OperatedStack, operated_stack
from support.raw_server import answer, raw_server
from support.rights import Right, recording
from support.rotation import aws_variables
from template.policies import Allowance, allowances, read_policy
from template.translate import ROOT
from timpush_ops import dead_letters, follow, mapping, rotation
from timpush_ops.board_command import serving
from timpush_ops.cli import cli
from timpush_server import TimPushServer

NOT_CALLED = {"UseKmsKey", "StartRotation"}
"""What services ask for: they use the key, and invoke the rotation, with the caller's rights."""
KEYED = {
    "dynamodb:GetItem",
    "s3:PutObject",
    "secretsmanager:GetSecretValue",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
}
"""What reads or writes something that the key of `KmsKeyArn` encrypts."""
PART = 8 * 1024 * 1024
"""boto3 uploads a larger file in parts."""

WAITS = (
    (dead_letters, "WAIT_SECONDS"),
    (follow, "POLL_SECONDS"),
    (mapping, "LOOK_SECONDS"),
    (rotation, "PATIENCE_SECONDS"),
)
"""What the emulator does at once is not waited for."""

Run = Callable[[OperatedStack, Path], None]


def simply(*words: str) -> Run:
    """Run a command that needs nothing more."""

    def run(stack: OperatedStack, _: Path) -> None:
        done = stack.run(*words)
        assert done.code == 0, done.output

    return run


def open_board(stack: OperatedStack, _: Path) -> None:
    stack.begin_job("job-0")
    with serving(stack.name, 0) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        page = urllib3.request("GET", f"http://127.0.0.1:{server.port}/", retries=False)
        answering.join(30)
    assert page.status == 200
    assert "Cannot be read" not in page.data.decode()


def rotate(stack: OperatedStack, _: Path) -> None:
    """One that succeeds; one that is stuck, is ended, and fails again."""
    done = stack.run("rotate")
    assert done.code == 0, done.output
    stages = {"VersionIdsToStages": {"1" * 32: ["AWSCURRENT"], "2" * 32: ["AWSPENDING"]}}
    stuck = {"__type": "InvalidRequestException", "message": "A previous rotation"}
    replies = [
        (stages, 200),
        (stuck, 400),
        ({}, 200),
        ({}, 200),
        (stages, 200),
        ({"events": []}, 200),
    ]
    answers = [answer(json.dumps(body).encode(), status=status) for body, status in replies]
    secret, group = (stack.outputs[name] for name in ("SecretArn", "RotationLogGroupName"))
    with raw_server(*answers) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        done = stack.operated.run("rotate", "--secret-id", secret, "--rotation-log-group", group)
    assert (done.code, group in done.output) == (1, True), done.output


def send(stack: OperatedStack, folder: Path) -> None:
    """A file that goes up, and one whose parts do not."""
    small, large = folder / "small.jsonl", folder / "large.jsonl"
    small.write_text("{}\n", encoding="utf-8")
    large.write_bytes(b" " * (PART + 1))
    done = stack.run("send", small)
    assert done.code == 0, done.output
    stack.breaks_uploads = True
    done = stack.run("send", large)
    assert done.code == 1, done.output


def follow_job(stack: OperatedStack, _: Path) -> None:
    stack.begin_job("job-1")
    done = stack.run("job", "job-1")
    assert done.code == 0, done.output


def list_jobs(stack: OperatedStack, _: Path) -> None:
    stack.begin_job("job-2")
    done = stack.run("jobs")
    assert done.code == 0, done.output


def stop_job(stack: OperatedStack, _: Path) -> None:
    stack.begin_job("job-3")
    done = stack.run("job", "stop", "job-3")
    assert done.code == 0, done.output


def export(stack: OperatedStack, folder: Path) -> None:
    done = stack.run("dlq", "export", folder / "dead-letters.csv")
    assert done.code == 0, done.output


def send_back(stack: OperatedStack, _: Path) -> None:
    """One user of a message; the other stays."""
    stack.operated.add_dead_letter_of({"user-1": 70107, "user-2": 90034})
    done = stack.run("dlq", "send-back", "--code", "70107", "--yes")
    assert done.code == 0, done.output


RUNS: dict[str, Run] = {
    "doctor": simply("doctor"),
    # moto would run the function for messages that come while its mapping is enabled.
    "pause": simply("pause"),
    "board": open_board,
    "send": send,
    "jobs": list_jobs,
    "job": follow_job,
    "job stop": stop_job,
    "dlq send-back": send_back,
    "dlq list": simply("dlq", "list"),
    "dlq export": export,
    "rotate": rotate,
    "resume": simply("resume"),
    "budget": simply("budget", "--app-calls", "60"),
}
"""Each command, in an order in which each does all that it can."""


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    """The commands in their words; `job show` is said as `job`."""
    for name, command in group.commands.items():
        words = f"{before}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} ")
        else:
            yield words.removesuffix(" show")


def documented() -> dict[str, list[str]]:
    """Command -> its statements, by the table in docs/commands.md."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    section = text.partition("## Rights an operator needs\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \| (`.+?) \|$", section, re.MULTILINE)
    return {
        command: re.findall(r"`(\w+)`", sids)
        for names, sids in rows
        for command in re.findall(r"`(.+?)`", names)
    }


@pytest.fixture(scope="module")
def operator(aws_url: str) -> Iterator[OperatedStack]:
    with pytest.MonkeyPatch.context() as patch, TimPushServer() as timpush:
        for name, text in aws_variables(aws_url).items():
            patch.setenv(name, text)
        for module, name in WAITS:
            patch.setattr(module, name, 0)
        with operated_stack(aws_url, timpush) as stack:
            yield stack


@pytest.fixture(scope="module")
def needed(
    operator: OperatedStack, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[Right]]:
    """Command -> the rights that its calls need."""
    folder = tmp_path_factory.mktemp("operator")
    found: dict[str, set[Right]] = {}
    with recording(ACCOUNT, operator.events()) as rights:
        for command, run in RUNS.items():
            rights.clear()
            run(operator, folder)
            found[command] = set(rights)
    return found


def allowed(stack: OperatedStack, command: str) -> list[Allowance]:
    """What the statements of a command allow, KMS aside."""
    values = {"STACK": stack.name, "SECRET_ARN": stack.outputs["SecretArn"], "ACCOUNT": ACCOUNT}
    sids = set(documented()[command]) - NOT_CALLED
    return allowances(read_policy("operator", values), sids)


def test_every_command_is_run_and_documented() -> None:
    assert sorted(commands(cli)) == sorted(RUNS)
    assert sorted(documented()) == sorted(RUNS)


def test_every_statement_is_of_a_command() -> None:
    used = {sid for sids in documented().values() for sid in sids}
    assert used == {statement["Sid"] for statement in read_policy("operator")["Statement"]}


@pytest.mark.parametrize("command", RUNS)
def test_a_command_calls_what_its_statements_allow(
    operator: OperatedStack, needed: dict[str, set[Right]], command: str
) -> None:
    rights = allowed(operator, command)
    refused = [one for one in needed[command] if not any(right.covers(*one) for right in rights)]
    assert refused == []


@pytest.mark.parametrize("command", RUNS)
def test_the_statements_of_a_command_allow_nothing_that_it_does_not_call(
    operator: OperatedStack, needed: dict[str, set[Right]], command: str
) -> None:
    rights = allowed(operator, command)
    unused = [right for right in rights if not any(right.covers(*one) for one in needed[command])]
    assert unused == []


@pytest.mark.parametrize("command", RUNS)
def test_a_command_that_reads_or_writes_what_is_stored_uses_the_key(
    needed: dict[str, set[Right]], command: str
) -> None:
    keyed = KEYED & {right.action for right in needed[command]}
    assert ("UseKmsKey" in documented()[command]) is bool(keyed)
