"""The worker tells how long its UserSig lives: a metric, and a line when it is not long."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from remove_tags_worker import app
from support.rotation import Account, Context, captured, moto_server, rotating
from timpush.settings import USERSIG_LOW_SECONDS

DAY = 86_400
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def account(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with rotating(aws_url, monkeypatch.setenv) as started:
        for variable, text in {
            "TIMPUSH_SECRET_ID": started.usersig_id,
            "TIMPUSH_CALLS_PER_SECOND": "100",
            "WORKER_CONCURRENCY": "1",
            "QUEUE_URL": QUEUE,
            "DEAD_LETTER_QUEUE_URL": QUEUE,
        }.items():
            monkeypatch.setenv(variable, text)
        started.timpush.tags["ann"] = {"gold"}
        yield started


def store(account: Account, text: str) -> None:
    account.secrets.put_secret_value(SecretId=account.usersig_id, SecretString=text)


def invoke(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One message through the worker; its metrics and its log lines."""
    body = '{"UserTags": [{"To_Account": "ann", "Tags": ["gold"]}]}'
    capsys.readouterr()
    with captured(app.logger) as logged:
        app.lambda_handler({"Records": [{"messageId": "1", "body": body}]}, Context(9.0))
    metrics: dict[str, Any] = json.loads(capsys.readouterr().out)
    return metrics, [json.loads(line) for line in logged.getvalue().splitlines()]


def looks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that ask an operator to look at the UserSig."""
    return [line for line in lines if line["message"] == "the UserSig needs a look"]


def test_the_life_that_is_left_is_a_metric_and_in_the_summary(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    store(account, account.timpush.secret(expire=3 * DAY))

    metrics, lines = invoke(capsys)

    assert metrics["UserSigSecondsLeft"] == [pytest.approx(3 * DAY, abs=30)]
    units = {one["Name"]: one["Unit"] for one in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert units["UserSigSecondsLeft"] == "Seconds"
    [summary] = [line for line in lines if line["message"] == "batch settled"]
    assert summary["usersig_seconds_left"] == pytest.approx(3 * DAY, abs=30)
    assert looks(lines) == []


def test_a_life_that_is_not_long_is_a_line_that_names_the_secret_and_not_its_value(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    store(account, account.timpush.secret(expire=USERSIG_LOW_SECONDS))

    _, lines = invoke(capsys)

    [line] = looks(lines)
    assert line["level"] == "WARNING"
    assert line["secret"] == account.usersig_id
    assert line["usersig_seconds_left"] == pytest.approx(USERSIG_LOW_SECONDS, abs=30)
    assert account.value()["usersig"] not in json.dumps(lines)


@pytest.mark.parametrize("text", ["expired", "placeholder"])
def test_a_usersig_that_cannot_be_used_has_no_life_left(
    account: Account, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    placeholder = '{"sdkappid": 0, "identifier": "", "usersig": ""}'
    expired = account.timpush.secret(time=1_000, expire=DAY)
    store(account, expired if text == "expired" else placeholder)

    metrics, lines = invoke(capsys)

    assert metrics["UserSigSecondsLeft"] == [0]
    assert len(looks(lines)) == 1


@pytest.mark.usefixtures("account")
def test_a_secret_that_cannot_be_read_says_nothing_of_the_usersig(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMPUSH_SECRET_ID", "not-there")

    metrics, lines = invoke(capsys)

    assert "UserSigSecondsLeft" not in metrics
    assert metrics["CredentialErrors"][0] >= 1
    assert looks(lines) == []


def test_a_new_value_of_no_use_is_told_while_the_old_one_is_still_used(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    store(account, account.timpush.secret(expire=1_800))
    invoke(capsys)
    store(account, "{}")

    metrics, lines = invoke(capsys)

    assert metrics["UsersRemoved"] == [1]
    assert metrics["UserSigSecondsLeft"] == [pytest.approx(1_800, abs=30)]
    [line] = looks(lines)
    assert "sdkappid must be" in line["reason"]
