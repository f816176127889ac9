"""What workers record of a job's messages, idempotently: a repeated record changes nothing.

A chunk all of whose users were removed is a number in the set `Done` of the item of its 200
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from timpush.messages import UserTags

GROUP = 200
"""Chunks of an item. A set of as many numbers, of up to 4 bytes each, and the item's other
attributes stay below 1 KB, one write request unit."""
MAX_DETAIL_BYTES = 350_000
"""Of an item; DynamoDB takes 400 KB.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (2026-11).
"""
STOPPED = ("stopped", "the job was stopped before a worker removed it")
"""The code and reason of users whose message was dropped."""
MAX_SUMMARIES = 2_000
"""Of an item: some 50 bytes each."""
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


Rejected = tuple[str, str, str, str]
"""An account, one of its tags, the code and the reason."""


class Summary(NamedTuple):
    """Users with a rejected tag, users sent on, and the chunks that these went on in."""

    rejected: int
    rest: int
    next_chunks: Sequence[str] = ()


class Settlement(NamedTuple):
    """What became of a message that is no whole chunk, or was not wholly removed.

    `users` is how many of its users have a rejected tag; `rest` are the users and tags that went on
    in smaller messages, `next_chunks`: nearly always one. What is in neither was removed.
    """

    rejected: list[Rejected]
    rest: list[UserTags]
    next_chunks: Sequence[str]
    users: int

    def summary(self) -> Summary:
        """Its figures."""
        return Summary(self.users, len(self.rest), self.next_chunks)


@dataclass(slots=True)
class Records:
    """What is recorded: chunks by range and number, and summaries by the text of a chunk's id."""

    done: set[tuple[int, int]] = field(default_factory=set)
    stopped: set[tuple[int, int]] = field(default_factory=set)
    summaries: dict[str, list[Summary]] = field(default_factory=dict)


class Link(Protocol):
    """A record of one message of a chunk; its rest went on in the messages `next_chunks`."""

    @property
    def next_chunks(self) -> Sequence[str]: ...


L = TypeVar("L", bound=Link)


class Chain(NamedTuple, Generic[L]):
    """The records of a chunk and of its rests; `pending` are those whose rest has no record yet."""

    links: list[L]
    pending: list[L]


def follow(chunk: str, links: Mapping[str, list[L]]) -> Chain[L]:
    """The records that begin at a chunk, none when it has none.

    Of several ways, one without pending rests is chosen, and always the same.
    """
    best: Chain[L] = Chain([], [])
    for link in sorted(links.get(chunk, ()), key=repr):
        tails = [follow(name, links) for name in link.next_chunks]
        found = [one for tail in tails for one in tail.links]
        pending = [one for tail in tails for one in tail.pending]
        if not all(tail.links for tail in tails):
            pending.append(link)
        if not pending:
            return Chain([link, *found], [])
        if not best.links:
            best = Chain([link, *found], pending)
    return best


def group_key(range_number: int, number: int) -> str:
    """The sort key of the item that holds whether the chunk is done or stopped."""
    return f"chunks#{range_number:05d}#{number // GROUP:04d}"


def add_item(records: Records, item: Mapping[str, Any]) -> None:
    """Read an item of chunks or of summaries into what is known."""
    range_number = int(item["Item"].split("#")[1])
    records.done.update((range_number, number) for number in item.get("Done", ()))
    records.stopped.update((range_number, number) for number in item.get("Stopped", ()))
    for chunk, summary in json.loads(item.get("Summaries", "{}")).items():
        records.summaries.setdefault(chunk, []).append(Summary(*summary))


def make_items(settlements: Mapping[str, Settlement]) -> Iterator[dict[str, Any]]:
    """The items (without job and expiry) that record settlements, by the texts of chunk ids.

    The items of lists come before the one that sums them up: where it is, they are.
    """
    by_range: dict[int, dict[str, Settlement]] = {}
    for text, settlement in sorted(settlements.items()):
        chunk = read_chunk_id(text)
        if chunk:
            by_range.setdefault(chunk.range_number, {})[text] = settlement
    for range_number, found in by_range.items():
        rest = iter(found)
        while texts := list(islice(rest, MAX_SUMMARIES)):
            yield from _make_items(range_number, {text: found[text] for text in texts})


def _make_items(range_number: int, found: Mapping[str, Settlement]) -> Iterator[dict[str, Any]]:
    detail = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    name = f"{range_number:05d}#{hashlib.sha256(detail).hexdigest()[:24]}"
    packed = zlib.compress(detail)
    for number, start in enumerate(range(0, len(packed), MAX_DETAIL_BYTES)):
        piece = packed[start : start + MAX_DETAIL_BYTES]
        yield {"Item": f"detail#{name}#{number:03d}", "Detail": piece}
    summaries = {text: settlement.summary() for text, settlement in found.items()}
    yield {"Item": f"part#{name}", "Summaries": json.dumps(summaries, separators=(",", ":"))}


def read_settlements(
    parts: Iterable[Mapping[str, Any]], details: Iterable[Mapping[str, Any]]
) -> dict[str, list[Settlement]]:
    """What `make_items` wrote; `details` are in the order of their keys.

    Lists without their `part#` item were not written to the end and do not count.
    """
    packed: dict[str, bytes] = {}
    for item in details:
        name = item["Item"].removeprefix("detail#").rpartition("#")[0]
        packed[name] = packed.get(name, b"") + item["Detail"]
    found: dict[str, list[Settlement]] = {}
    for part in parts:
        lists = json.loads(zlib.decompress(packed[part["Item"].removeprefix("part#")]))
        for text, (rejected, rest, next_chunks, users) in lists.items():
            settlement = Settlement(
                [tuple(one) for one in rejected],
                [(account, tags) for account, tags in rest],
                next_chunks,
                users,
            )
            found.setdefault(text, []).append(settlement)
    return found
