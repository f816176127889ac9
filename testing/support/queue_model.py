"""A model of an SQS standard queue with its dead-letter queue, in virtual time.

What it promises is what SQS promises, and no more: at least once, in any order, a message that is
not deleted comes back after its visibility timeout, and after `max_receive_count` receives it is
moved. `Queue` is also the client that the worker sends and delays with, as strict as SQS.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from support.virtual_time import VirtualTime

VISIBILITY_SECONDS = 780.0
MAX_BYTES = 1_048_576
NOT_ALLOWED = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Record = dict[str, Any]


@dataclass
class Held:
    """A message on the queue."""

    message_id: str
    body: str
    sent_at: float
    visible_at: float
    receives: int = 0
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeadLetter:
    """A message that was sent to the dead-letter queue; `source` is the message it came from."""

    body: str
    attributes: dict[str, str]

    @property
    def source(self) -> str:
        return self.attributes.get("SourceMessageId", "")


class Queue:
    """The queue, its dead letters, and their trouble: switch it on and off by the attributes.

    `unreliable` is the chance of a delivery twice and of a deletion that is not done; while
    `refusing`, what is dead-lettered is refused after all the time until `patience` has been taken.
    """

    def __init__(self, time: VirtualTime, max_receive_count: int = 100) -> None:
        self.held: dict[str, Held] = {}
        self.origins: dict[str, str] = {}
        self.sent_at: dict[str, float] = {}
        self.dead_letters: list[DeadLetter] = []
        self.moved: list[Held] = []
        self.unreliable = 0.0
        self.refusing = self.delays_fail = False
        self.patience = 0.0
        self._time = time
        self._max_receive_count = max_receive_count
        self._handles: dict[str, str] = {}
        self._numbers = count()
        self._lock = Lock()

    def send(self, body: str, attributes: dict[str, str] | None = None, delay: int = 0) -> str:
        """Put a message on the queue; returns its id. Its rests have it as attribute `Origin`."""
        now, message_id = self._time.clock(), f"message-{next(self._numbers)}"
        kept = {"Origin": message_id} | (attributes or {})
        self.held[message_id] = Held(message_id, body, now, now + delay, attributes=kept)
        self.origins[message_id], self.sent_at[message_id] = kept["Origin"], now
        return message_id

    def next_visible(self) -> float | None:
        """When the next message can be received; None when the queue is empty."""
        return min((one.visible_at for one in self.held.values()), default=None)

    def receive(self, most: int, rng: Random) -> list[Record]:
        """Messages that are visible, in any order, perhaps one of them twice."""
        now = self._time.clock()
        visible = [one for one in self.held.values() if one.visible_at <= now]
        rng.shuffle(visible)
        records: list[Record] = []
        for one in visible[:most]:
            again = rng.random() < self.unreliable
            for _ in range(2 if again else 1):
                records.extend(self._receive(one))
            if again and rng.random() < 0.5:
                one.visible_at = now
        rng.shuffle(records)
        return records

    def _receive(self, one: Held) -> Iterable[Record]:
        one.receives += 1
        one.visible_at = self._time.clock() + VISIBILITY_SECONDS
        if one.receives > self._max_receive_count:
            if self.held.pop(one.message_id, None):
                self.moved.append(one)
            return
        handle = f"{one.message_id}/{one.receives}"
        self._handles[handle] = one.message_id
        yield {
            "messageId": one.message_id,
            "receiptHandle": handle,
            "body": one.body,
            "attributes": {"ApproximateReceiveCount": str(one.receives)},
            "messageAttributes": {
                name: {"stringValue": value, "dataType": "String"}
                for name, value in one.attributes.items()
            },
            "eventSource": "aws:sqs",
        }

    def settle(self, records: list[Record], reply: dict[str, Any], rng: Random) -> set[str]:
        """What Lambda does with a reply: delete what it does not report. The ids acknowledged."""
        ids = {one["messageId"] for one in records}
        reported = [row["itemIdentifier"] for row in reply["batchItemFailures"]]
        assert set(reported) <= ids
        assert len(set(reported)) == len(reported)
        done = ids.difference(reported)
        for message_id in sorted(done):
            if rng.random() >= self.unreliable:
                self.held.pop(message_id, None)
        return done

    # The client that the worker has

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Send to either queue; messages that SQS would refuse are refused one by one."""
        entries = request["Entries"]
        with self._lock:
            if self.refusing:
                self._time.spend(max(0.0, self.patience - self._time.clock()))
                raise _error("ServiceUnavailable", 503)
            _check_batch(entries, [_size(entry) for entry in entries])
            good = [entry for entry in entries if _is_sound(entry)]
            for entry in good:
                values = entry["MessageAttributes"].items()
                attributes = {name: value["StringValue"] for name, value in values}
                if request["QueueUrl"].endswith("dead-letter"):
                    self.dead_letters.append(DeadLetter(entry["MessageBody"], attributes))
                else:
                    delay = entry.get("DelaySeconds", 0)
                    assert 0 <= delay <= 900
                    self.send(entry["MessageBody"], attributes, delay)
        return _results(entries, good, "InvalidMessageContents")

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        """Set when messages come back; those that are gone are refused one by one."""
        entries = request["Entries"]
        with self._lock:
            if self.delays_fail:
                raise _error("ServiceUnavailable", 503)
            _check_batch(entries, [])
            good = [entry for entry in entries if self._delay(entry)]
        return _results(entries, good, "ReceiptHandleIsInvalid")

    def _delay(self, entry: dict[str, Any]) -> bool:
        seconds = entry["VisibilityTimeout"]
        assert isinstance(seconds, int)
        assert 0 <= seconds <= 43_200
        one = self.held.get(self._handles[entry["ReceiptHandle"]])
        if one is None or one.visible_at <= self._time.clock():
            return False
        one.visible_at = self._time.clock() + seconds
        return True


def _check_batch(entries: list[dict[str, Any]], sizes: list[int]) -> None:
    ids = [entry["Id"] for entry in entries]
    assert all(re.fullmatch(r"[\w-]{1,80}", one) for one in ids)
    if not 1 <= len(entries) <= 10:
        raise _error("TooManyEntriesInBatchRequest")
    if len(set(ids)) < len(ids):
        raise _error("BatchEntryIdsNotDistinct")
    if sum(sizes) > MAX_BYTES:
        raise _error("BatchRequestTooLong")


def _size(entry: dict[str, Any]) -> int:
    """Bytes as SQS counts them."""
    texts = [entry["MessageBody"]]
    for name, value in entry["MessageAttributes"].items():
        texts += [name, value["DataType"], value["StringValue"]]
    return sum(len(text.encode(errors="surrogatepass")) for text in texts)


def _is_sound(entry: dict[str, Any]) -> bool:
    values = [value["StringValue"] for value in entry["MessageAttributes"].values()]
    texts = [entry["MessageBody"], *values]
    return len(values) <= 10 and all(texts) and not any(map(NOT_ALLOWED.search, texts))


def _results(entries: list[Any], good: list[Any], code: str) -> dict[str, Any]:
    ids = [entry["Id"] for entry in good]
    failed = [
        {"Id": entry["Id"], "SenderFault": True, "Code": code}
        for entry in entries
        if entry["Id"] not in ids
    ]
    results: dict[str, Any] = {"Successful": [{"Id": one} for one in ids], "Failed": failed}
    return {name: rows for name, rows in results.items() if rows}


def _error(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "SQS")


def pairs_of(letter: DeadLetter) -> dict[tuple[str, str], set[str]]:
    """The pairs that a dead letter holds, each with the codes given for its account."""
    document = json.loads(letter.body)
    codes: dict[str, set[str]] = {}
    for row in document["Errors"]:
        codes.setdefault(row["To_Account"], set()).add(str(row["ErrorCode"]))
    return {
        (user["To_Account"], tag): codes[user["To_Account"]]
        for user in document["UserTags"]
        for tag in user["Tags"]
    }
