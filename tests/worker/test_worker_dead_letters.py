"""What the worker dead-letters when messages are as large as SQS takes, and what it cannot."""

import json

import pytest

from support.worker import Worker, body
from timpush.queue.dead_letter import read_document, read_users
from timpush_server import Fault

MAX_BYTES = 1024 * 1024


def size(text: str, attributes: dict[str, str]) -> int:
    """Bytes as SQS counts them."""
    return len(text.encode()) + sum(
        len(f"{name}String{value}".encode()) for name, value in attributes.items()
    )


def test_a_document_that_outgrows_a_message_is_dead_lettered_as_several_complete_ones(
    worker: Worker,
) -> None:
    # Given a message of almost 1 MiB, of users that all fail with a long text
    tags = {f"unknown-{number}": ["t" * 50] for number in range(9_000)}
    text = body(tags)
    assert MAX_BYTES * 0.7 < len(text) <= MAX_BYTES
    # When it comes
    assert worker.remove(text, seconds=100) == []
    # Then each part fits, names its source, and explains each of its users, once in all
    dead_letters = worker.dead_letters()
    assert len(dead_letters) > 1
    found: list[str] = []
    for document, attributes in dead_letters:
        assert size(document, attributes) <= MAX_BYTES
        assert attributes["SourceMessageId"] == json.loads(document)["SourceMessageId"] == "m0"
        users = [row["To_Account"] for row in json.loads(document)["UserTags"]]
        assert users == [row["To_Account"] for row in json.loads(document)["Errors"]]
        found.extend(users)
    assert sorted(found) == sorted(tags)


@pytest.mark.parametrize("free", [0, 30, 60, 200])
def test_a_malformed_body_is_dead_lettered_with_the_attributes_that_fit(
    worker: Worker, free: int
) -> None:
    # Given a malformed body that leaves a few bytes, or none, of a message free
    worker.know({"user": ["gold"]})
    bad = "x" * (MAX_BYTES - free)
    # When it comes beside a good one, both settle
    assert worker.remove(bad, body({"user": ["gold"]})) == []
    assert worker.timpush.tags["user"] == set()
    # Then it is there as it came, with what fits of why
    [(text, attributes)] = worker.dead_letters()
    assert text == bad
    assert size(text, attributes) <= MAX_BYTES
    names = ["ErrorCode", "SourceMessageId", "Reason"]
    assert set(attributes) == set(names[: {0: 0, 30: 1, 60: 2, 200: 3}[free]])


@pytest.mark.parametrize("length", [600_000, MAX_BYTES - 60])
def test_an_account_that_almost_fills_a_message_is_dead_lettered(
    worker: Worker, length: int
) -> None:
    # Given a user whose document would be too large: it names the account twice
    account = "x" * length
    text = body({account: ["gold"]})
    assert len(text) <= MAX_BYTES
    # When TIMPush rejects it, it settles at its first receive
    worker.timpush.set_fault(Fault("code", code=90001))
    assert worker.remove(text) == []
    # Then the account is there, or, if nothing else fits, its beginning in what is no message
    [(letter, attributes)] = worker.dead_letters()
    assert size(letter, attributes) <= MAX_BYTES
    assert attributes["ErrorCode"] == "90001"
    document = read_document(letter, attributes)
    if length == 600_000:
        assert document
        [user] = read_users(document.users, letter, attributes)
        assert (user.account, user.tags, user.codes) == (account, ["gold"], {"90001"})
    else:
        assert document is None
        shown = json.loads(letter)["Truncated"]
        assert (shown["Characters"], shown["Tags"]) == (length, ["gold"])
        assert account.startswith(shown["To_Account"])


def test_bodies_that_are_no_text_of_ours_are_dead_lettered_as_they_are(worker: Worker) -> None:
    bodies = ["", " ", "null", "[]", '{"UserTags": []}', "plain text", '{"UserTags"', "ä€😀"]
    assert worker.remove(*bodies[1:]) == []
    dead_letters = {
        attributes["SourceMessageId"]: text for text, attributes in worker.dead_letters()
    }
    assert dead_letters == {f"m{index}": text for index, text in enumerate(bodies[1:])}


def test_many_dead_letters_are_all_there(worker: Worker) -> None:
    accounts = [f"unknown-{number}" for number in range(60)]
    assert worker.remove(*(body({account: ["gold"]}) for account in accounts)) == []
    # a batch that SQS took without a reply in time is sent again: there may be more than one each
    dead_letters = {
        json.loads(text)["Errors"][0]["To_Account"] for text, _ in worker.dead_letters()
    }
    assert dead_letters == set(accounts)


def test_an_error_text_of_any_form_is_dead_lettered(worker: Worker) -> None:
    # Given an ErrorInfo with characters that SQS takes in no message
    worker.timpush.set_fault(Fault("code", code=90034, info="bad \x00 \x1b[31m \ud800 \uffff text"))
    # When a call fails with it, then the message is dead-lettered all the same
    assert worker.remove(body({"user": ["gold"]})) == []
    [(text, attributes)] = worker.dead_letters()
    assert json.loads(text)["UserTags"] == [{"To_Account": "user", "Tags": ["gold"]}]
    assert attributes["Reason"].startswith("90034: tag refused as over 50 bytes: bad ")
    assert attributes["Reason"].isprintable()


def test_a_document_is_dead_lettered_again_when_it_fails_again(worker: Worker) -> None:
    worker.remove(body({"unknown": ["gold"]}))
    [(first, _)] = worker.dead_letters()
    assert worker.remove(first) == []
    [(second, _)] = worker.dead_letters()
    assert second == first
