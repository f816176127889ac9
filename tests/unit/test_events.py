"""Every sample in events/ is what SQS would send, and is the case that its name says."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from timpush.errors import MalformedMessageError
from timpush.messages import parse

EVENTS = Path(__file__).parents[2] / "events"
LONG_AGO = 1_767_225_600  # 2026-01-01

# For each message of the event: its number of users, "expired" or "malformed".
CASES: dict[str, list[int | str]] = {
    "sqs-one-record": [1],
    "sqs-one-user-a-record": [1, 1, 1, 1, 1],
    "sqs-many-users": [70, 70],
    "sqs-many-tags": [1],
    "sqs-registration-id": [1],
    "sqs-non-ascii": [2],
    "sqs-not-after": [1],
    "sqs-expired": ["expired"],
    "sqs-poison-body": ["malformed"],
    "sqs-many-faults": ["malformed"] * 5,
    "sqs-mixed-batch": [1, "malformed", "expired", "malformed", 2],
    "sqs-redelivered": [1],
    "sqs-sent-back": [1],
}


def load(name: str) -> list[dict[str, Any]]:
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    assert list(event) == ["Records"]
    records: list[dict[str, Any]] = event["Records"]
    return records


def case_of(body: str) -> int | str:
    try:
        document = parse(body)
    except MalformedMessageError:
        return "malformed"
    expired = document.not_after is not None and document.not_after < LONG_AGO
    return "expired" if expired else len(document.users)


def test_every_event_of_a_queue_is_tested() -> None:
    assert {path.stem for path in EVENTS.glob("sqs-*.json")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_event_is_the_case_that_its_name_says(name: str) -> None:
    assert [case_of(record["body"]) for record in load(name)] == CASES[name]


@pytest.mark.parametrize("name", CASES)
def test_records_have_the_shape_that_sqs_sends(name: str) -> None:
    for record in load(name):
        assert set(record) == {
            "messageId",
            "receiptHandle",
            "body",
            "attributes",
            "messageAttributes",
            "md5OfBody",
            "eventSource",
            "eventSourceARN",
            "awsRegion",
        }
        assert record["eventSource"] == "aws:sqs"
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()  # noqa: S324
        assert int(record["attributes"]["ApproximateReceiveCount"]) >= 1
        assert {
            "ApproximateReceiveCount",
            "SentTimestamp",
            "SenderId",
            "ApproximateFirstReceiveTimestamp",
        } <= set(record["attributes"])
        assert all(isinstance(value, str) for value in record["attributes"].values())
        for attribute in record["messageAttributes"].values():
            assert attribute["dataType"] == "String"
            assert isinstance(attribute["stringValue"], str)


@pytest.mark.parametrize("name", CASES)
def test_ids_are_made_up_and_each_is_there_once(name: str) -> None:
    ids = [record["messageId"] for record in load(name)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"00000000-0000-4000-8000-\d{12}", one) for one in ids)
    assert all(":000000000000:" in record["eventSourceARN"] for record in load(name))


def test_users_of_the_sample_of_many_users_overlap() -> None:
    first, second = (
        {account for account, _ in parse(record["body"]).users} for record in load("sqs-many-users")
    )
    assert len(first & second) == 10
    assert len(first | second) > 100


def test_redelivered_message_was_received_before() -> None:
    (record,) = load("sqs-redelivered")
    assert int(record["attributes"]["ApproximateReceiveCount"]) > 1
