"""Sends a file of users as one job: checked whole, then sent in parallel, each part once confirmed
written to the journal.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timpush.queue.attributes import JOB_ID, JOB_USERS, Message
from timpush.queue.sender import Pauses, Unsent, batches, send_batch, send_until_refused
from timpush.queue.split import queue_messages
from timpush_ops.journal import Journal
from timpush_ops.rows import Fault, Format, Row, read_rows

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SENDERS = 12
UNIT_ROWS = 1_000
"""Rows of a unit: 10 messages of 100 users, mostly one SendMessageBatch."""
UNIT_TAGS = 20_000
"""From this many tags on a unit has fewer rows, for the sake of memory."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at what SQS did not take."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of users and how to read it. `not_after` is in Unix seconds."""

    path: Path
    file_format: Format
    separator: str
    not_after: float | None = None
    group_id: str = ""

    def header(self, job: str, queue_url: str) -> dict[str, Any]:
        """What the journal must agree with."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "job": job,
            "sha256": digest,
            "queue": queue_url,
            "format": self.file_format,
            "separator": self.separator,
            "not-after": self.not_after,
            "message-group-id": self.group_id,
        }


@dataclass(slots=True)
class Checked:
    """What a file holds. A row of more than 1,000 tags counts as several users."""

    users: int = 0
    faulty_lines: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Sent:
    """What SQS confirmed in this run, and the codes of what it did not."""

    users: int = 0
    messages: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def new_job_id(now: datetime | None = None) -> str:
    """A job id that sorts by time."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def check_file(
    source: Source, tell: Callable[[Fault], object], position: Callable[[int], object]
) -> Checked:
    """Read the whole file; `tell` is called with each fault."""
    checked = Checked()
    for found in read_rows(source.path, source.file_format, source.separator, position):
        if isinstance(found, Fault):
            checked.faulty_lines.add(found.line)
            tell(found)
        else:
            checked.users += found.users
    return checked


def unconfirmed_rows(
    source: Source, journal: Journal, skip: Callable[[int], object]
) -> Iterator[Row]:
    """The rows that no run is known to have sent; `skip` is told the users of each other one.

    Faulty lines are left out.
    """
    for found in read_rows(source.path, source.file_format, source.separator):
        if isinstance(found, Fault):
            continue
        if journal.covers(found.first, found.last):
            skip(found.users)
        else:
            yield found


def cut_units(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut into parts that are sent and confirmed as one."""
    unit: list[Row] = []
    tags = 0
    for row in rows:
        unit.append(row)
        tags += len(row.tags)
        if len(unit) == UNIT_ROWS or tags >= UNIT_TAGS:
            yield unit
            unit, tags = [], 0
    if unit:
        yield unit


def job_attributes(job: str, users: int) -> dict[str, str]:
    """The attributes of each message of a job of so many users."""
    return {JOB_ID: job, JOB_USERS: str(users)}


def make_messages(
    rows: Iterable[Row], source: Source, attributes: Mapping[str, str]
) -> list[Message]:
    """The messages of a unit."""
    users = [(row.account, row.tags) for row in rows]
    messages = queue_messages(users, source.not_after, dict(attributes), source.group_id)
    return [message for message, _ in messages]


def send_units(
    sqs: "SQSClient",
    queue_url: str,
    units: Iterable[list[Row]],
    make: Callable[[list[Row]], list[Message]],
    journal: Journal,
    progress: Callable[[int], object],
) -> Sent:
    """Send units, several at a time; `progress` is told the users of each confirmed one.

    The first one goes alone. After one that SQS does not take, none is started any more. However
    it ends, what was confirmed is in the journal.
    """
    sent = Sent()

    def send_unit(unit: list[Row], pauses: Pauses) -> tuple[int, Unsent]:
        messages = make(unit)
        unsent: Unsent = {}
        for batch in batches(enumerate(messages)):
            unsent |= send_batch(sqs, queue_url, batch, pauses=pauses)
        return len(messages), unsent

    def settle(ended: list[tuple[list[Row], tuple[int, Unsent]]]) -> bool:
        confirmed: list[list[Row]] = []
        for unit, (messages, unsent) in ended:
            sent.refused.update(unsent.values())
            if not unsent:
                confirmed.append(unit)
                sent.messages += messages
        journal.confirm((unit[0].first, unit[-1].last) for unit in confirmed)
        for unit in confirmed:
            users = sum(row.users for row in unit)
            sent.users += users
            progress(users)
        return not sent.refused

    send_until_refused(units, send_unit, settle, SENDERS, PAUSES)
    return sent
