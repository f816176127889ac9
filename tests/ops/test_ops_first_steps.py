"""What a new operator runs into first: each is one plain line and an exit code, no traceback."""

from collections.abc import Iterator

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
