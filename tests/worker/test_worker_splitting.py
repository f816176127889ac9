"""A message of which something is settled and something is not: its rest is a smaller message."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from remove_tags_worker import app
from support.printed import printed
from support.queue_model import Queue
from support.rotation import captured
from support.timpush_model import TimPush
from support.worker import Worker, body, record, worker_queue_client
from support.world import World
from timpush.messages import parse

JOB = {"RequestId": "request-1", "JobId": "spring", "JobUsers": "3", "Chunk": "3:17"}


def sent_record(text: str, attributes: dict[str, str], receives: int = 1) -> dict[str, Any]:
    """A record with message attributes, of a message of a tenant."""
    found = record("m0", text, receives)
    found["attributes"]["MessageGroupId"] = "campaign"
    values = {name: {"stringValue": v, "dataType": "String"} for name, v in attributes.items()}
    return found | {"messageAttributes": values}


@contextmanager
def sent_entries() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the function sends meanwhile: the queue's URL and the entry."""
    found: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        found.extend((params["QueueUrl"], entry) for entry in params["Entries"])

    events = worker_queue_client().meta.events
    events.register("provide-client-params.sqs.SendMessageBatch", note)
    try:
        yield found
    finally:
        events.unregister("provide-client-params.sqs.SendMessageBatch", note)


def values(entry: dict[str, Any]) -> dict[str, str]:
    return {name: one["StringValue"] for name, one in entry["MessageAttributes"].items()}


def test_rejected_users_are_dead_lettered_and_the_others_are_a_smaller_message(
    worker: Worker,
) -> None:
    # Given a message with a good, an unknown and a busy user, received for the third time
    worker.know({"good": ["gold"], "busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"good": ["gold"], "unknown": ["gold"], "busy": ["gold"]}, NotAfter=4_000_000_000)
    # When it comes, it is acknowledged
    with sent_entries() as sent:
        assert worker.handle({"Records": [sent_record(text, JOB, 3)]}) == []
    # Then the unknown user is dead-lettered, and the busy one is a message of its own
    [(letter, _)] = worker.dead_letters()
    assert [row["To_Account"] for row in json.loads(letter)["UserTags"]] == ["unknown"]
    [rest] = [entry for url, entry in sent if url == worker.queue_url]
    document = parse(rest["MessageBody"])
    assert document.users == [("busy", ["gold"])]
    assert document.not_after == 4_000_000_000
    # And the rest says whose it is, and how often it was received
    digits = hashlib.sha256(rest["MessageBody"].encode()).hexdigest()[:8]
    changed = {"Chunk": f"3:17-{digits}", "EarlierReceives": "3"}
    assert values(rest) == JOB | changed
    assert rest["MessageGroupId"] == "campaign"


def test_the_rest_is_finished_by_a_later_receive(worker: Worker) -> None:
    worker.know({"busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"unknown": ["gold"], "busy": ["gold"]})
    with sent_entries() as sent:
        worker.handle({"Records": [sent_record(text, {})]})
    [rest] = [entry for url, entry in sent if url == worker.queue_url]
    worker.timpush.account_codes.clear()
    assert worker.handle({"Records": [sent_record(rest["MessageBody"], values(rest))]}) == []
    assert worker.timpush.tags["busy"] == set()
    assert len(worker.dead_letters()) == 1


def test_receives_add_up_and_delay_the_rest(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a rest that was received 11 times, counting the messages that it is the rest of
    monkeypatch.setenv("RETRY_BASE_SECONDS", "1000")
    monkeypatch.setenv("RETRY_CAP_SECONDS", "40000")
    worker.know({"busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"unknown": ["gold"], "busy": ["gold"]})
    # When it is split again
    with sent_entries() as sent:
        worker.handle({"Records": [sent_record(text, {"EarlierReceives": "9"}, 2)]})
    [rest] = [entry for url, entry in sent if url == worker.queue_url]
    # Then the count goes on, and it stays invisible for as long as SQS allows, at most
    assert values(rest)["EarlierReceives"] == "11"
    assert 1 <= rest["DelaySeconds"] <= 900


def test_a_chunk_without_a_job_is_another_application_s(worker: Worker) -> None:
    worker.know({"busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    theirs = {"Chunk": "theirs", **{f"other-{number}": "x" for number in range(9)}}
    text = body({"unknown": ["gold"], "busy": ["gold"]})
    with sent_entries() as sent:
        assert worker.handle({"Records": [sent_record(text, theirs)]}) == []
    [rest] = [entry for url, entry in sent if url == worker.queue_url]
    assert values(rest)["Chunk"] == "theirs"
    assert values(rest)["EarlierReceives"] == "1"
    assert len(values(rest)) == 10  # the most that SQS takes


def test_of_more_tags_than_there_is_time_for_only_the_unfinished_come_back(
    worker: Worker,
) -> None:
    # Given a user with more tags than the time is enough for: 10 in a call, 50 calls a second
    tags = [f"tag-{number}" for number in range(3_000)]
    worker.know({"user": tags})
    # When the message comes
    with sent_entries() as sent:
        assert worker.handle({"Records": [sent_record(body({"user": tags}), {})]}, 8.5) == []
    # Then its rest holds what is left, and is visible again soon
    [rest] = [entry for url, entry in sent if url == worker.queue_url]
    left = [tag for _, some in parse(rest["MessageBody"]).users for tag in some]
    assert worker.timpush.tags["user"] <= set(left)
    assert 0 < len(left) < len(tags)
    assert rest.get("DelaySeconds", 0) <= 5


def test_a_user_with_more_tags_than_an_invocation_is_done_by_a_few() -> None:
    # Given a user with 60,000 tags: 6,000 calls, of which 2,800 fit into 112 s at 25 a second
    world = World()
    queue, timpush = Queue(world.time), TimPush(world, 25)
    tags = [f"tag-{number}" for number in range(60_000)]
    queue.send(body({"user": tags}))
    handler = world.worker(
        timpush.respond, queue, TIMPUSH_CALLS_PER_SECOND=25, WORKER_CONCURRENCY=1
    )
    # When its message, and then each rest of it, is received
    receives = 0
    while (visible_at := queue.next_visible()) is not None:
        world.time.spend(max(0.0, visible_at - world.time.clock()))
        records = queue.receive(10, Random(1))
        with printed(app.logger):
            reply = app.handle(records, handler, world.time.clock() + 120.0)
        assert reply == {"batchItemFailures": []}
        queue.settle(records, reply, Random(1))
        receives += 1
    # Then all of it is done, and nothing of it twice as often as it must be
    assert {tag for _, tag in timpush.removed} == set(tags)
    assert receives <= 3
    assert queue.dead_letters == []


def test_without_any_progress_a_message_returns_whole(worker: Worker) -> None:
    with sent_entries() as sent:
        record_ = sent_record(body({"user": ["gold"], "other": ["gold"]}), JOB)
        assert worker.handle({"Records": [record_]}, 3.0) == ["m0"]
    assert sent == []


def test_a_dead_letter_queue_that_takes_nothing_keeps_the_message_whole(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", worker.dead_letter_queue_url + "-missing")
    worker.know({"busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"unknown": ["gold"], "busy": ["gold"]})
    with sent_entries() as sent:
        assert worker.handle({"Records": [sent_record(text, JOB)]}) == ["m0"]
    assert [entry for url, entry in sent if url == worker.queue_url] == []


def test_a_queue_that_takes_no_rest_keeps_the_message_whole(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_URL", worker.queue_url + "-missing")
    worker.know({"busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"unknown": ["gold"], "busy": ["gold"]})
    with captured(app.logger) as log:
        assert worker.handle({"Records": [sent_record(text, JOB)]}) == ["m0"]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    [line] = [one for one in lines if one["message"] == "the rest of a message was not sent"]
    assert (line["level"], line["messages"]) == ("WARNING", 1)
    [summary] = [one for one in lines if one["message"] == "batch settled"]
    assert summary["handed_back"] == {"transient": 1}
    assert summary["parked"] == {}


def test_the_summary_counts_what_was_removed_dead_lettered_and_returned(worker: Worker) -> None:
    worker.know({"good": ["gold"], "busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    text = body({"good": ["gold"], "unknown": ["gold"], "busy": ["gold"]})
    with captured(app.logger) as log:
        worker.handle({"Records": [sent_record(text, JOB)]})
    [summary] = [
        line
        for line in map(json.loads, log.getvalue().splitlines())
        if line["message"] == "batch settled"
    ]
    assert summary["removed"] == 1
    assert summary["parked"] == {"70107": 1}
    assert summary["handed_back"] == {"transient": 1}
    assert summary["split"] == 1


class TestRecordsWithOneId:
    def test_the_same_body_twice_is_one_message(self, worker: Worker) -> None:
        twice = record("same", body({"unknown": ["gold"]}))
        assert worker.handle({"Records": [twice, twice]}) == []
        assert len(worker.dead_letters()) == 1

    def test_two_bodies_both_count(self, worker: Worker) -> None:
        worker.know({"a": ["gold"], "b": ["gold"]})
        records = [record("same", body({account: ["gold"]})) for account in ("a", "b")]
        assert worker.handle({"Records": records}) == []
        assert worker.timpush.tags == {"a": set(), "b": set()}

    @pytest.mark.parametrize("busy", ["a", "b"])
    def test_the_id_fails_if_either_does(self, worker: Worker, busy: str) -> None:
        worker.know({"a": ["gold"], "b": ["gold"]})
        worker.timpush.account_codes[busy] = 91000
        records = [record("same", body({account: ["gold"]})) for account in ("a", "b")]
        assert worker.handle({"Records": records}) == ["same"]

    def test_a_malformed_one_is_dead_lettered_beside_a_good_one(self, worker: Worker) -> None:
        worker.know({"a": ["gold"]})
        records = [record("same", "{"), record("same", body({"a": ["gold"]}))]
        assert worker.handle({"Records": records}) == []
        assert worker.timpush.tags["a"] == set()
        assert [text for text, _ in worker.dead_letters()] == ["{"]
