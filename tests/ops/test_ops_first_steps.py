"""What a new operator runs into first: each is one plain line and an exit code, no traceback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from support.ops import Operated, operated


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        boto3.setup_default_session()  # reads the environment anew
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


def test_a_run_that_is_stopped_says_how_it_goes_on(stack: Operated, tmp_path: Path) -> None:
    # Given Ctrl-C while the messages are being sent
    def stop(**_: Any) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "a.csv"
    file.write_text("To_Account,Tags\na,x\n", encoding="utf-8")
    assert boto3.DEFAULT_SESSION
    boto3.DEFAULT_SESSION.events.register("before-send.sqs.SendMessageBatch", stop)
    done = stack.send(file)
    # Then it says so, and the same command sends what is left
    assert (done.code, "repeat the command to go on" in done.output) == (1, True)
    boto3.setup_default_session()
    assert "sent 1 users" in stack.send(file).output
