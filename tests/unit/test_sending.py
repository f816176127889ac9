"""Messages are sent in batches that SQS takes, and only what SQS confirmed counts as sent."""

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from support.clients import refusing_url, sqs_client
from timpush.queue.attributes import Message
from timpush.queue.sender import send, send_groups

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MIB = 1024 * 1024
FAR = 10_000.0  # a deadline; the clock of these tests stands at 0
BAD_NAME = "no such name"  # SQS refuses a whole batch for an attribute named so


def message(body: str = "body", **attributes: str) -> Message:
    return Message(body, attributes or {"Reason": "some reason"})


class Pauses:
    """Waits by remembering how long, instead of waiting; the clock shows what was waited."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def clock(self) -> float:
        return sum(self.waited)


class Queue:
    """A queue of the emulated SQS, the batches sent to it, and what it holds."""

    def __init__(self, client: "SQSClient") -> None:
        self.client = client
        self.url = client.create_queue(QueueName=uuid4().hex)["QueueUrl"]
        self.batches: list[list[dict[str, Any]]] = []
        client.meta.events.register("provide-client-params.sqs.SendMessageBatch", self._note)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.batches.append(params["Entries"])

    def send(self, messages: list[Message]) -> set[int]:
        pauses = Pauses()
        return send(self.client, self.url, messages, FAR, pauses.clock, pauses.sleep)

    def send_groups(self, groups: dict[str, list[Message]]) -> set[str]:
        return send_groups(self.client, self.url, groups, FAR, clock=lambda: 0.0)

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Body and attributes of each message, which is taken off the queue."""
        while found := self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for one in found:
                attributes = one.get("MessageAttributes", {})
                yield one["Body"], {k: v["StringValue"] for k, v in attributes.items()}
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])


@pytest.fixture
def queue(sqs: "SQSClient") -> Queue:
    return Queue(sqs)


def entry_size(entry: dict[str, Any]) -> int:
    attributes = entry["MessageAttributes"].items()
    parts = [entry["MessageBody"]]
    parts += [text for name, one in attributes for text in (name, *one.values())]
    return sum(len(part.encode()) for part in parts)


class TestGroups:
    def test_messages_reach_the_queue_with_their_attributes(self, queue: Queue) -> None:
        groups = {f"m-{n}": [message(f"odd {n} 名", RequestId=f"r-{n}")] for n in range(23)}
        assert queue.send_groups(groups) == set()
        assert sorted(queue.messages(), key=str) == sorted(
            ((f"odd {n} 名", {"RequestId": f"r-{n}"}) for n in range(23)), key=str
        )
        assert sorted(len(batch) for batch in queue.batches) == [3, 10, 10]

    def test_a_message_that_is_too_large_is_not_sent(self, queue: Queue) -> None:
        assert queue.send_groups({"full": [message("x" * MIB)], "other": [message("x")]}) == {
            "full"
        }
        assert [body for body, _ in queue.messages()] == ["x"]
        assert len(queue.batches) == 1

    def test_a_message_that_just_fits_is_sent(self, queue: Queue) -> None:
        room = MIB - message("").size()
        assert queue.send_groups({"m": [message("x" * room)]}) == set()
        assert queue.send_groups({"m": [message("x" * room + "x")]}) == {"m"}

    def test_of_a_group_each_message_must_be_confirmed(self, queue: Queue) -> None:
        bad = message("bad", **{BAD_NAME: "x"})
        groups = {"split": [message(), bad, message()], "whole": [message()]}
        assert queue.send_groups(groups) == {"split"}


class TestBatches:
    def test_nothing_to_send_is_no_call(self, queue: Queue) -> None:
        assert queue.send([]) == set()
        assert queue.batches == []

    def test_a_batch_holds_at_most_a_mebibyte(self, queue: Queue) -> None:
        assert queue.send([message("é" * 150_000)] * 8) == set()
        assert len(queue.batches) == 3
        assert all(sum(map(entry_size, batch)) <= MIB for batch in queue.batches)
        assert len(list(queue.messages())) == 8

    def test_a_message_goes_to_its_tenant(self, queue: Queue) -> None:
        queue.send([Message("a", {"Reason": "r"}, "campaign"), message("b")])
        assert [entry.get("MessageGroupId") for entry in queue.batches[0]] == ["campaign", None]


class TestRefusals:
    def test_a_queue_that_is_not_there_is_not_asked_entry_by_entry(self, queue: Queue) -> None:
        queue.client.delete_queue(QueueUrl=queue.url)
        assert queue.send([message() for _ in range(10)]) == set(range(10))
        assert len(queue.batches) <= 3

    @pytest.mark.parametrize("code", ["AccessDenied", "KmsAccessDenied", "ExpiredToken"])
    def test_a_refusal_of_the_queue_is_tried_a_few_times(self, sqs: "SQSClient", code: str) -> None:
        pauses = Pauses()
        with Stubber(sqs) as stub:
            for _ in range(3):
                stub.add_client_error("send_message_batch", code)
            messages = [message()] * 10
            unsent = send(sqs, "https://q", messages, FAR, pauses.clock, pauses.sleep)
            stub.assert_no_pending_responses()
        assert unsent == set(range(10))
        assert pauses.waited == sorted(pauses.waited)

    def test_only_entries_that_were_not_taken_are_sent_again(self, sqs: "SQSClient") -> None:
        sent: list[list[str]] = []
        sqs.meta.events.register(
            "provide-client-params.sqs.SendMessageBatch",
            lambda params, **_: sent.append([entry["MessageBody"] for entry in params["Entries"]]),
        )
        pauses = Pauses()
        with Stubber(sqs) as stub:
            stub.add_response("send_message_batch", reply(taken=[0, 2], refused=[1]))  # not 3
            stub.add_response("send_message_batch", reply(taken=[3], refused=[1]))
            stub.add_response("send_message_batch", reply(taken=[], refused=[1]))
            messages = [message(f"m-{n}") for n in range(4)]
            unsent = send(sqs, "https://q", messages, FAR, pauses.clock, pauses.sleep)
        assert unsent == {1}
        assert sent == [["m-0", "m-1", "m-2", "m-3"], ["m-1", "m-3"], ["m-1"]]

    def test_a_server_that_cannot_be_reached_leaves_everything_unsent(self) -> None:
        pauses = Pauses()
        with refusing_url() as url:
            client = sqs_client(url)
            messages = [message()] * 25
            unsent = send(client, f"{url}/q", messages, FAR, pauses.clock, pauses.sleep)
        assert unsent == set(range(25))


class SilentQueue:
    """Answers no request until it is told to."""

    def __init__(self) -> None:
        self.answer = Event()

    def send_message_batch(self, **params: Any) -> dict[str, Any]:
        self.answer.wait(10)
        return {"Successful": [{"Id": entry["Id"]} for entry in params["Entries"]]}


class TestDeadline:
    def test_what_is_not_confirmed_by_then_counts_as_unsent(self) -> None:
        silent = SilentQueue()
        messages = [message(f"m-{n}") for n in range(200)]
        unsent = send(cast("SQSClient", silent), "https://q", messages, 0.0, lambda: 0.0)
        silent.answer.set()
        assert unsent == set(range(200))

    def test_no_further_attempt_starts_that_would_pass_it(self, sqs: "SQSClient") -> None:
        pauses = Pauses()
        with Stubber(sqs) as stub:
            stub.add_client_error("send_message_batch", "Throttling")
            stub.add_client_error("send_message_batch", "Throttling")
            deadline = 0.3
            assert send(sqs, "https://q", [message()], deadline, pauses.clock, pauses.sleep) == {0}
        assert len(pauses.waited) == 1


def reply(taken: list[int], refused: list[int]) -> dict[str, Any]:
    digest = {"MessageId": "m", "MD5OfMessageBody": "0" * 32}
    fault = {"SenderFault": True, "Code": "InvalidMessageContents"}
    return {
        "Successful": [{"Id": str(number), **digest} for number in taken],
        "Failed": [{"Id": str(number), **fault} for number in refused],
    }


class PickyQueue:
    """Takes what it likes of a batch, or refuses the whole for one entry; checks every batch."""

    def __init__(self, refused: set[str], as_a_whole: bool) -> None:
        self.refused = refused
        self.as_a_whole = as_a_whole
        self.taken: list[str] = []

    def send_message_batch(self, **params: Any) -> dict[str, Any]:
        entries = params["Entries"]
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        assert sum(map(entry_size, entries)) <= MIB
        taken = [entry for entry in entries if entry["MessageBody"][:4] not in self.refused]
        if self.as_a_whole and len(taken) < len(entries):
            raise ClientError({"Error": {"Code": "InvalidParameterValue"}}, "SendMessageBatch")
        self.taken += [entry["MessageBody"][:4] for entry in taken]
        return {"Successful": [{"Id": entry["Id"]} for entry in taken], "Failed": []}


SIZES = st.integers(4, 50) | st.integers(100_000, 400_000) | st.just(MIB)


@pytest.mark.parametrize("as_a_whole", [False, True])
@given(messages=st.lists(st.tuples(SIZES, st.booleans()), max_size=40))
def test_each_message_is_sent_once_or_reported_whatever_becomes_of_others(
    as_a_whole: bool, messages: list[tuple[int, bool]]
) -> None:
    names = [f"{number:04d}" for number in range(len(messages))]
    refused = {name for name, (_, fine) in zip(names, messages, strict=True) if not fine}
    picky, pauses = PickyQueue(refused, as_a_whole), Pauses()
    unsent = send(
        cast("SQSClient", picky),
        "https://q",
        [message(name.ljust(size, "x")) for name, (size, _) in zip(names, messages, strict=True)],
        FAR,
        pauses.clock,
        pauses.sleep,
    )
    too_long = {number for number, (size, _) in enumerate(messages) if size == MIB}
    assert unsent == too_long | {int(name) for name in refused}
    assert sorted(picky.taken) == sorted(name for name in names if int(name) not in unsent)
