"""What a new operator runs into first: each is one plain line and an exit code, no traceback."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest

from support.ops import ROOT, Operated, operated
from timpush_ops.cli import SECTIONS, cli


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        boto3.setup_default_session()  # reads the environment again
        yield made
    boto3.setup_default_session()


def test_an_endpoint_that_is_no_url(stack: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "bogus")
    done = stack.dlq("list")
    assert (done.code, "bogus (AWS_ENDPOINT_URL)" in done.output) == (1, True)


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_neither_keys_nor_region(
    stack: Operated, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    boto3.setup_default_session()
    done = stack.dlq("list")
    assert (done.code, "Set AWS_PROFILE, or AWS_REGION and keys" in done.output) == (1, True)


def test_the_region_alone_is_enough(stack: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION, which the AWS command line reads and boto3 does not."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    boto3.setup_default_session()
    done = stack.dlq("list")
    assert (done.code, done.output) == (0, "0 messages on the dead-letter queue\n")


def test_a_stack_that_is_not_there(stack: Operated) -> None:
    done = stack.run("jobs", "--stack-name", "nosuch")
    assert done.code == 2
    assert "there is no stack nosuch in us-east-1" in done.output
    assert "aws cloudformation describe-stacks" in done.output


def test_a_command_that_is_misspelt(stack: Operated) -> None:
    done = stack.run("sned", "users.csv")
    assert (done.code, "Did you mean send?" in done.output) == (2, True)


def test_an_endpoint_that_does_not_answer(stack: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # bound and not listening: nothing else gets the port
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
        done = stack.dlq("list")
    assert (done.code, "Does make local still run?" in done.output) == (1, True)


def test_the_shell_completes_commands() -> None:
    asked = {"_OPS_COMPLETE": "bash_complete", "COMP_WORDS": "./ops jo", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-B", ROOT / "tools/timpush_ops"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["plain,job", "plain,jobs"]


def test_help_is_one_screen_that_lists_every_command(stack: Operated) -> None:
    shown = stack.run("--help").output.splitlines()
    listed = [line.split()[0] for line in shown if line.startswith("  ") and line.strip()]
    assert all(listed.count(name) >= 1 for name in cli.commands)
    assert sorted(one for names in SECTIONS.values() for one in names) == sorted(cli.commands)
    assert len(shown) <= 40
    assert [line for line in shown[1:] if line.endswith("...")] == []


@pytest.mark.parametrize(
    "words", [("send",), ("jobs",), ("job",), ("job", "stop"), ("dlq", "list")]
)
def test_help_has_examples_that_stand_as_they_are(stack: Operated, words: tuple[str, ...]) -> None:
    done = stack.run(*words, "--help")
    [examples] = re.findall(r"Examples:\n((?: {4}.+\n)+)", done.output)
    assert all(
        line.strip().startswith(" ".join(("./ops", *words))) for line in examples.splitlines()
    )
