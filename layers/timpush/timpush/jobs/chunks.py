"""What workers record of a job's messages, idempotently: a repeated record changes nothing.

A chunk all of whose users were removed is a number in the set `Done` of the item of its 256
neighbours; one that was dropped because the job was stopped is in the set `Stopped`. Any other
record says who was rejected and who went on in a smaller message (`Settlement`): its figures are in
a `part#` item, and the lists in `detail#` items, one of each for a batch and range, named by the
SHA-256 of their contents.

A message may be delivered twice and be settled differently each time. Both records are true, as
each names the smaller message that its rest went on in, so any one that is complete tells the
chunk's end: `follow` chooses the same one whatever the order of the records.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from timpush.messages import UserTags

GROUP = 256
"""Chunks of an item: a set of as many numbers stays below 1 KB, one write request unit."""
MAX_DETAIL_BYTES = 350_000
"""Of an item; DynamoDB takes 400 KB.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (2026-11).
"""
MAX_LINKS = 200
"""The longest chain of messages that is followed; a message is received at most 1,000 times, but
only one with rejected users is split."""
_CHUNK = re.compile(r"([0-9]{1,5}):([0-9]{1,7})((?:-[0-9a-f]{8})*)")


class ChunkId(NamedTuple):
    """The attribute `Chunk` of a message: a range, a message of it, and what was split off."""

    range_number: int
    number: int
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.range_number}:{self.number}{self.rest}"


def read_chunk_id(text: str) -> ChunkId | None:
    """Read the attribute `Chunk`; None when it is none."""
    found = _CHUNK.fullmatch(text)
    return ChunkId(int(found[1]), int(found[2]), found[3]) if found else None


def rest_chunk(chunk: str, body: str) -> str:
    """The `Chunk` of a message with this body that is split off from the message of `chunk`."""
    return f"{chunk}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"


Rejected = tuple[str, str, str, str]
"""An account, one of its tags, the code and the reason."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a message that was not wholly removed.

    `rest` are the users of the smaller message `next_chunk`, to which they were sent on.
    """

    rejected: tuple[Rejected, ...] = ()
    rest: tuple[UserTags, ...] = ()
    next_chunk: str = ""

    def summary(self) -> "Summary":
        """Its figures."""
        accounts = {account for account, *_ in self.rejected}
        return Summary(len(accounts), len(self.rest), self.next_chunk)


class Summary(NamedTuple):
    """Users rejected, users sent on, and the chunk that these went on in."""

    rejected: int
    rest: int
    next_chunk: str = ""


@dataclass(slots=True)
class Records:
    """What is recorded: chunks by range and number, and summaries by the text of a chunk's id."""

    done: set[tuple[int, int]] = field(default_factory=set)
    stopped: set[tuple[int, int]] = field(default_factory=set)
    summaries: dict[str, list[Summary]] = field(default_factory=dict)
