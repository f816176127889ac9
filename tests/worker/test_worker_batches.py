"""The worker's function: what it calls, what it reports, what it dead-letters."""

import gc
import json
import os

import pytest

from remove_tags_worker import app
from support.worker import Worker, body, record, sqs_event
from timpush.settings import read_settings


def test_single_user_messages_share_calls(worker: Worker) -> None:
    # Given a thousand messages of one user each
    accounts = [f"user-{number}" for number in range(1_000)]
    worker.know({account: ["gold", "kept"] for account in accounts})
    # When they come in one batch
    failed = worker.remove(*(body({account: ["gold"]}) for account in accounts))
    # Then ten calls of a hundred users do it
    assert failed == []
    assert [len(call.users) for call in worker.timpush.received] == [100] * 10
    assert all(worker.timpush.tags[account] == {"kept"} for account in accounts)
    assert worker.dead_letters() == []


def test_a_message_of_2501_users_is_26_calls(worker: Worker) -> None:
    tags = {f"user-{number}": ["gold"] for number in range(2_501)}
    worker.know(tags)
    assert worker.remove(body(tags)) == []
    assert len(worker.timpush.received) == 26
    assert not any(worker.timpush.tags.values())


def test_a_user_of_several_messages_is_once_in_a_call(worker: Worker) -> None:
    worker.know({"user": ["a", "b", "c"]})
    assert worker.remove(body({"user": ["a", "b"]}), body({"user": ["b", "c"]})) == []
    assert [call.users for call in worker.timpush.received] == [[("user", ["a", "b", "c"])]]


def test_more_than_ten_tags_of_a_user_take_further_calls(worker: Worker) -> None:
    names = [f"tag-{number}" for number in range(25)]
    worker.know({"user": names})
    assert worker.remove(body({"user": names})) == []
    assert sorted(len(call.users[0][1]) for call in worker.timpush.received) == [5, 10, 10]
    assert worker.timpush.tags["user"] == set()


def test_an_empty_event_is_no_work(worker: Worker) -> None:
    assert worker.handle({"Records": []}) == []
    assert worker.timpush.received == []


def test_a_malformed_message_is_dead_lettered_with_its_own_body(worker: Worker) -> None:
    # Given a good message, and one with a tag of 51 bytes
    worker.know({"good": ["gold"]})
    bad = body({"user-1": ["fine"], "user-2": ["x" * 51]})
    # When both come
    assert worker.remove(body({"good": ["gold"]}), bad) == []
    # Then the good one is done, and the other is dead-lettered as it came, with place and rule
    assert worker.timpush.tags["good"] == set()
    [(letter, attributes)] = worker.dead_letters()
    assert letter == bad
    assert attributes["SourceMessageId"] == "m1"
    assert attributes["ErrorCode"] == "Malformed"
    assert "/UserTags/1/Tags/0" in attributes["Reason"]


def test_an_unknown_account_is_dead_lettered_and_the_others_are_done(worker: Worker) -> None:
    # Given a message with one account that TIMPush does not know
    worker.know({"known": ["gold", "kept"]})
    # When it comes
    assert worker.remove(body({"known": ["gold"], "unknown": ["gold", "old"]})) == []
    # Then only that account is dead-lettered, as the message held it
    assert worker.timpush.tags["known"] == {"kept"}
    [(letter, attributes)] = worker.dead_letters()
    assert json.loads(letter) == {
        "UserTags": [{"To_Account": "unknown", "Tags": ["gold", "old"]}],
        "Errors": [{"To_Account": "unknown", "ErrorCode": 70107, "ErrorInfo": ""}],
        "SourceMessageId": "m0",
    }
    assert attributes["SourceMessageId"] == "m0"
    assert attributes["ErrorCode"] == "70107"
    assert "account not imported" in attributes["Reason"]


def test_each_message_that_holds_a_failed_user_is_dead_lettered(worker: Worker) -> None:
    assert worker.remove(body({"unknown": ["a"]}), body({"unknown": ["b"]})) == []
    found = {
        attributes["SourceMessageId"]: json.loads(text)
        for text, attributes in worker.dead_letters()
    }
    assert {one: document["UserTags"][0]["Tags"] for one, document in found.items()} == {
        "m0": ["a"],
        "m1": ["b"],
    }


def test_only_the_failing_tag_of_a_refused_call_is_dead_lettered(worker: Worker) -> None:
    # Given a hundred users in a call, one of which has a tag that fails the whole call
    tags = {f"user-{number}": ["gold"] for number in range(100)}
    worker.know(tags)
    worker.timpush.refused_tags["poison"] = 90034
    tags["user-50"] = ["gold", "poison"]
    # When they come
    assert worker.remove(body(tags)) == []
    # Then everything else is removed
    assert not any(worker.timpush.tags.values())
    [(letter, _)] = worker.dead_letters()
    assert json.loads(letter)["UserTags"] == [{"To_Account": "user-50", "Tags": ["poison"]}]


def test_a_failing_single_tag_user_costs_at_most_14_more_calls(worker: Worker) -> None:
    tags = {f"user-{number}": ["gold"] for number in range(100)}
    worker.know(tags)
    worker.timpush.refused_accounts["user-99"] = 90048
    assert worker.remove(body(tags)) == []
    assert len(worker.timpush.received) <= 1 + 14
    assert [json.loads(text)["Errors"][0]["To_Account"] for text, _ in worker.dead_letters()] == [
        "user-99"
    ]


def test_a_message_with_a_user_to_be_retried_returns_whole(worker: Worker) -> None:
    # Given a message with a good and a troubled user
    worker.know({"good": ["gold"], "troubled": ["gold"]})
    worker.timpush.account_codes["troubled"] = 91000
    # When it comes, it returns, as nothing of it was rejected
    message = body({"good": ["gold"], "troubled": ["gold"]})
    assert worker.remove(message) == ["m0"]
    # And when the trouble is over, it is done
    worker.timpush.account_codes.clear()
    assert worker.remove(message) == []
    assert worker.timpush.tags == {"good": set(), "troubled": set()}
    assert worker.dead_letters() == []


def test_an_expired_message_is_dead_lettered_without_a_call(worker: Worker) -> None:
    worker.know({"user": ["gold"]})
    assert worker.remove(body({"user": ["gold"]}, NotAfter=1)) == []
    assert worker.timpush.received == []
    [(letter, attributes)] = worker.dead_letters()
    assert attributes["ErrorCode"] == "Expired"
    assert json.loads(letter)["UserTags"] == [{"To_Account": "user", "Tags": ["gold"]}]


def test_a_dead_letter_is_a_message(worker: Worker) -> None:
    # Given a dead letter of a user who is known later
    worker.remove(body({"late": ["gold"]}))
    [(letter, _)] = worker.dead_letters()
    worker.know({"late": ["gold", "kept"]})
    # When it is sent as it is, it is done
    assert worker.remove(letter) == []
    assert worker.timpush.tags["late"] == {"kept"}


def test_every_record_failed_is_still_a_reply(worker: Worker) -> None:
    worker.store_secret("no JSON")
    assert worker.remove(body({"a": ["x"]}), body({"b": ["x"]})) == ["m0", "m1"]


def test_what_cannot_be_dead_lettered_returns(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a dead-letter queue that does not exist
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", worker.dead_letter_queue_url + "-missing")
    worker.know({"good": ["gold"]})
    # When a good, a malformed and a hopeless message come
    failed = worker.remove(body({"good": ["gold"]}), "{", body({"unknown": ["gold"]}))
    # Then only the good one is acknowledged
    assert failed == ["m1", "m2"]


def test_handed_back_messages_wait_their_backoff(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given messages received from the queue, whose secret cannot be used
    monkeypatch.setenv("RETRY_BASE_SECONDS", "1000")
    monkeypatch.setenv("RETRY_CAP_SECONDS", "1000")
    for number in range(12):
        worker.sqs.send_message(
            QueueUrl=worker.queue_url, MessageBody=body({f"user-{number}": ["gold"]})
        )
    received = [
        one
        for _ in range(2)
        for one in worker.sqs.receive_message(
            QueueUrl=worker.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=1
        )["Messages"]
    ]
    worker.store_secret("no JSON")
    records = [
        record(one["MessageId"], one["Body"], handle=one["ReceiptHandle"]) for one in received
    ]
    # When they return to the queue
    assert len(worker.handle({"Records": records})) == 12
    # Then they are out of sight, also after the timeout with which they were received
    again = worker.sqs.receive_message(QueueUrl=worker.queue_url, WaitTimeSeconds=2)
    assert again.get("Messages", []) == []


def test_a_visibility_timeout_that_cannot_be_set_changes_nothing(worker: Worker) -> None:
    # Given records with receipt handles that SQS does not know
    worker.store_secret("no JSON")
    # When they return to the queue, the reply is the same
    assert worker.handle(sqs_event([body({"user": ["gold"]})])) == ["m0"]


def test_garbage_is_collected_again_once_a_batch_is_read(worker: Worker) -> None:
    worker.remove(body({"user": ["gold"]}))
    assert gc.isenabled()
    with pytest.raises(KeyError):  # no event of SQS lacks a body
        worker.handle({"Records": [{"messageId": "m0"}]})
    assert gc.isenabled()


def test_nothing_is_kept_from_the_collection_for_good(worker: Worker) -> None:
    frozen = gc.get_freeze_count()
    worker.remove(body({"user": ["gold"]}))
    assert gc.get_freeze_count() == frozen


def test_a_client_of_sqs_is_made_only_when_something_failed(worker: Worker) -> None:
    worker.know({"user": ["gold"]})
    worker.remove(body({"user": ["gold"]}))
    kept = app.make_worker(read_settings(os.environ))
    assert "sqs" not in vars(kept)
    worker.remove(body({"unknown": ["gold"]}))
    assert "sqs" in vars(kept)
    assert len(worker.dead_letters()) == 1
