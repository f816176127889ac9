"""The messages of one event: read, and settled once it is known what became of their users."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from timpush.errors import MalformedMessageError
from timpush.messages import Document, parse
from timpush.outcomes import Ledger
from timpush.queue.attributes import Message, Record, count_receives, read_carried
from timpush.queue.dead_letter import Rejected, malformed_letter, rejected_letters
from timpush.queue.delays import Delay, backoff_seconds


@dataclass(slots=True)
class Batch:
    """The messages of an event; their positions in `records` are the keys of everything else.

    A message has a document or is malformed. `carried` holds the attributes that stay with its
    users, where it has any. A message that is neither in `rejected` nor in `returned` succeeded.
    """

    records: list[Record]
    carried: dict[int, dict[str, str]] = field(default_factory=dict)
    documents: dict[int, Document] = field(default_factory=dict)
    malformed: dict[int, MalformedMessageError] = field(default_factory=dict)
    rejected: dict[int, list[Rejected]] = field(default_factory=dict)
    returned: dict[int, str] = field(default_factory=dict)
    """Why the message returns to the queue."""

    def message_id(self, key: int) -> str:
        """The id that SQS gave the message."""
        return str(self.records[key]["messageId"])

    def settle(self, ledger: Ledger) -> None:
        """Decide each message: it returns when any of its tags is to be retried."""
        for key, document in self.documents.items():
            unsettled = ledger.outcomes(document.users)
            reason = next((str(o.code) for _, _, o in unsettled if o.state == "retry"), "")
            if reason:
                self.returned[key] = reason
            elif unsettled:
                self.rejected[key] = unsettled

    def give_back(self, key: int, reason: str) -> None:
        """The message returns to the queue whole."""
        self.returned[key] = reason
        self.malformed.pop(key, None)
        self.rejected.pop(key, None)

    def dead_letters(self) -> dict[int, list[Message]]:
        """What is to be sent to the dead-letter queue for each message."""
        letters: dict[int, list[Message]] = {}
        for key, error in self.malformed.items():
            body, carried = self.records[key]["body"], self.carried.get(key, {})
            letters[key] = [malformed_letter(self.message_id(key), body, error, carried)]
        for key, rejected in self.rejected.items():
            carried = self.carried.get(key, {})
            letters[key] = list(rejected_letters(self.message_id(key), rejected, carried))
        return letters

    def delays(self, base: int, cap: int) -> list[Delay]:
        """How long each message that returns is to stay invisible."""
        return [
            (handle, backoff_seconds(reason, count_receives(self.records[key]), base, cap))
            for key, reason in self.returned.items()
            if (handle := self.records[key].get("receiptHandle"))
        ]

    def failures(self) -> list[str]:
        """The ids of the messages that are not acknowledged, each once."""
        return list(dict.fromkeys(map(self.message_id, self.returned)))


def read_batch(records: Iterable[Record]) -> Batch:
    """Parse each message once, however often the event holds it."""
    batch = Batch(_distinct(list(records)))
    for key, record in enumerate(batch.records):
        carried = read_carried(record)
        if carried:
            batch.carried[key] = carried
        try:
            batch.documents[key] = parse(record["body"])
        except MalformedMessageError as error:
            batch.malformed[key] = error
    return batch


def _distinct(records: list[Record]) -> list[Record]:
    """Leave repeated deliveries out. Two bodies with one id are two messages."""
    if len({record["messageId"] for record in records}) == len(records):
        return records
    return list({(record["messageId"], record["body"]): record for record in records}.values())


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection: reading makes many objects and no garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
