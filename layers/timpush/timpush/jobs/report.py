"""Rows of a range and workers' records -> what became of each user and tag, exactly once."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from timpush.jobs.chunks import STOPPED, ChunkId, Records, Settlement, follow
from timpush.jobs.messages import Chunk
from timpush.jobs.rows import Row

NOT_REMOVED_HEADER = "To_Account,Tag,ErrorCode,Reason,Line\r\n"
FAULTS_HEADER = "Line,Rule\r\n"

Reason = tuple[str, str]
"""An error code, and the reason in words."""

NOT_SENT = ("NotSent", "it was not sent")
UNSETTLED = (
    "Unsettled",
    "no worker recorded its end while its message could be on the queue; it may be removed or not",
)


class NotRemoved(NamedTuple):
    """A row of not-removed.csv."""

    account: str
    tag: str
    code: str
    reason: str
    line: int


@dataclass(slots=True)
class Fate:
    """What became of a chunk's tags. Those that are not `rejected` share `others`; None: removed.

    With `pending`, `others` is the reason of these tags alone, and the rest are removed.
    """

    rejected: dict[tuple[str, str], Reason] = field(default_factory=dict)
    others: Reason | None = None
    pending: frozenset[tuple[str, str]] | None = None

    def reason(self, account: str, tag: str) -> Reason | None:
        """Why a tag was not removed; None: it was."""
        found = self.rejected.get((account, tag))
        if found or (self.pending is not None and (account, tag) not in self.pending):
            return found
        return self.others


@dataclass(frozen=True, slots=True)
class Recorded:
    """All that workers recorded of one range; `sent_to` are its chunks that may have been sent.

    `unsent` is the reason of the others.
    """

    range_number: int
    records: Records
    settlements: Mapping[str, list[Settlement]]
    sent_to: int
    unsent: Reason = NOT_SENT

    def fate(self, number: int) -> Fate:
        """What became of a chunk."""
        key = (self.range_number, number)
        if key in self.records.done:
            return Fate()
        chain = follow(str(ChunkId(*key)), self.settlements)
        if not chain.links:
            stopped = key in self.records.stopped
            sent = STOPPED if stopped else UNSETTLED
            return Fate(others=sent if stopped or number < self.sent_to else self.unsent)
        rejected: dict[tuple[str, str], Reason] = {}
        for link in chain.links:
            for account, tag, code, reason in link.rejected:
                rejected.setdefault((account, tag), (code, reason))
        if not chain.pending:
            return Fate(rejected)
        rests = [user for link in chain.pending for user in link.rest]
        pending = frozenset((account, tag) for account, tags in rests for tag in tags)
        return Fate(rejected, UNSETTLED, pending)


def list_not_removed(rows: Iterable[Row], fate: Fate) -> Iterator[tuple[Row, list[NotRemoved]]]:
    """Each row, and its tags that were not removed; a user is removed when none is left."""
    for row in rows:
        yield (
            row,
            [
                NotRemoved(row.account, tag, *reason, row.line)
                for tag in row.tags
                if (reason := fate.reason(row.account, tag))
            ],
        )


@dataclass(slots=True)
class RangeCount:
    """How many users of a range were removed, and not; `settled` of them with a record."""

    removed: int = 0
    not_removed: int = 0
    settled: int = 0


def report_range(
    chunks: Iterable[Chunk], recorded: Recorded, first_line: int, counted: RangeCount
) -> Iterator[str]:
    """The text of a range's part of not-removed.csv, chunk by chunk, and its users counted."""
    for chunk in chunks:
        fate = recorded.fate(chunk.number)
        lines: list[NotRemoved] = []
        for _, left in list_not_removed(chunk.rows, fate):
            counted.removed += not left
            counted.not_removed += bool(left)
            counted.settled += all(one.code != "Unsettled" for one in left)
            lines.extend(one._replace(line=one.line + first_line - 1) for one in left)
        yield to_csv(lines)


def to_csv(rows: Iterable[tuple[object, ...]]) -> str:
    """Rows of CSV, lines ended by CRLF."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


class ReportError(Exception):
    """The figures of a report do not add up."""


def check_sums(rows: int, faulty: int, removed: int, not_removed: int) -> None:
    """Hold the report against the file: each row exactly once.

    Raises:
        ReportError: they do not add up.
    """
    if rows != faulty + removed + not_removed:
        raise ReportError(
            f"{rows} rows are not {faulty} faulty + {removed} removed + {not_removed} not removed"
        )
