"""Byte ranges and workers' records -> a job's figures."""

from collections.abc import Iterable
from typing import NamedTuple

from timpush.jobs.chunks import ChunkId, Records, follow
from timpush.jobs.ranges import Range, unpack_sizes


class Figures(NamedTuple):
    """The figures of a job's document, by their names there."""

    Rows: int = 0
    FaultyRows: int = 0
    Users: int = 0
    Removed: int = 0
    NotRemoved: int = 0
    Settled: int = 0


def count(ranges: Iterable[Range], records: Records) -> Figures:
    """Add up a job's figures.

    While a message's rest is on its way, those of its users are neither removed nor not removed.
    A user with one tag rejected and another sent on counts as not removed.
    """
    rows = faulty = removed = not_removed = 0
    for one in ranges:
        rows, faulty = rows + one.rows, faulty + one.faulty_rows
        for number, size in enumerate(unpack_sizes(one.sizes)):
            gone, left = count_chunk(one.number, number, size, records)
            removed, not_removed = removed + gone, not_removed + left
    return Figures(rows, faulty, rows - faulty, removed, not_removed, removed + not_removed)


def count_chunk(range_number: int, number: int, size: int, records: Records) -> tuple[int, int]:
    """How many of a chunk's users are known to be removed, and not to be."""
    if (range_number, number) in records.done:
        return size, 0
    chain = follow(str(ChunkId(range_number, number)), records.summaries)
    if not chain.links:
        return (0, size) if (range_number, number) in records.stopped else (0, 0)
    left = min(size, sum(link.rejected for link in chain.links))
    pending = sum(link.rest for link in chain.pending)
    return max(0, size - left - pending), left


def is_settled(one: Range, records: Records) -> bool:
    """Whether the end of every chunk that may have been sent is recorded."""
    return all(is_chunk_settled(one.number, number, records) for number in range(one.sent_to))


def is_chunk_settled(range_number: int, number: int, records: Records) -> bool:
    """Whether a chunk's end, and that of all that was split off, is recorded."""
    key = (range_number, number)
    if key in records.done:
        return True
    chain = follow(str(ChunkId(*key)), records.summaries)
    return not chain.pending if chain.links else key in records.stopped
