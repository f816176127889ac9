"""The messages of one event: read, and settled once it is known what became of their users."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from timpush.errors import MalformedMessageError
from timpush.messages import Document, UserTags, parse
from timpush.outcomes import Ledger, Outcome
from timpush.queue.attributes import Message, Record, count_receives, read_carried
from timpush.queue.dead_letter import Rejected, malformed_letter, rejected_letters
from timpush.queue.delays import UNFINISHED, Delay, backoff_seconds
from timpush.queue.rest import rest_messages
from timpush.settings import Settings


class Rest(NamedTuple):
    """The users of a message that are to be retried, and the reason."""

    reason: str
    users: list[UserTags]


@dataclass(slots=True)
class Batch:
    """The messages of an event; their positions in `records` are the keys of everything else.

    A message has a document or is malformed. `carried` holds the attributes that stay with its
    users, where it has any. Once settled, a message has succeeded as far as it is in none of:
    `malformed` and `rejected`, for the dead-letter queue; `rests`, to be sent as a smaller message
    (`successors`, once SQS confirmed them); `returned`, to be received again as it is.
    """

    records: list[Record]
    carried: dict[int, dict[str, str]] = field(default_factory=dict)
    documents: dict[int, Document] = field(default_factory=dict)
    malformed: dict[int, MalformedMessageError] = field(default_factory=dict)
    rejected: dict[int, list[Rejected]] = field(default_factory=dict)
    rests: dict[int, Rest] = field(default_factory=dict)
    successors: dict[int, list[Message]] = field(default_factory=dict)
    returned: dict[int, str] = field(default_factory=dict)

    def message_id(self, key: int) -> str:
        """The id that SQS gave the message."""
        return str(self.records[key]["messageId"])

    def settle(self, ledger: Ledger) -> None:
        """Decide each message.

        One with something to retry is split if something of it was rejected, or if the time or
        the calls ran out after a part of it was settled. So each rest is smaller than its message.
        """
        for key, document in self.documents.items():
            unsettled = ledger.outcomes(document.users)
            if not unsettled:
                continue
            retry = [row for row in unsettled if row[2].state == "retry"]
            rejected = [row for row in unsettled if row[2].state == "rejected"]
            reason = str(retry[0][2].code) if retry else ""
            progress = len(unsettled) < sum(len(tags) for _, tags in document.users)
            split = rejected or (progress and reason in UNFINISHED)
            if retry and not split:
                self.returned[key] = reason
                continue
            if rejected:
                self.rejected[key] = rejected
            if retry:
                self.rests[key] = Rest(reason, _users(retry))

    def give_back(self, key: int, reason: str = "") -> None:
        """The message returns whole, for `reason` or for that of its rest."""
        rest = self.rests.pop(key, None)
        self.returned[key] = reason or (rest.reason if rest else "unsent")
        for of_message in (self.malformed, self.rejected, self.successors):
            of_message.pop(key, None)

    def reasons(self) -> list[str]:
        """Why each message comes back, as it is or as its rest."""
        return [*self.returned.values(), *(rest.reason for rest in self.rests.values())]

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

    def write_rests(self, settings: Settings) -> dict[int, list[Message]]:
        """The messages that take the place of those that are split; also in `successors`."""
        for key, (reason, users) in self.rests.items():
            record, not_after = self.records[key], self.documents[key].not_after
            delay = _backoff(record, reason, settings)
            self.successors[key] = list(rest_messages(record, users, not_after, delay))
        return self.successors

    def delays(self, settings: Settings) -> list[Delay]:
        """How long each message that returns is to stay invisible."""
        return [
            (handle, _backoff(self.records[key], reason, settings))
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


def _users(rows: Iterable[tuple[str, str, Outcome]]) -> list[UserTags]:
    """The accounts of these rows with their tags."""
    users: dict[str, dict[str, None]] = {}
    for account, tag, _ in rows:
        users.setdefault(account, {})[tag] = None
    return [(account, list(tags)) for account, tags in users.items()]


def _backoff(record: Record, reason: str, settings: Settings) -> int:
    base, cap = settings.retry_base_seconds, settings.retry_cap_seconds
    return backoff_seconds(reason, count_receives(record), base, cap)


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
