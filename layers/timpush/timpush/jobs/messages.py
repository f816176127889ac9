"""Rows of a byte range -> its chunks: messages of up to 100 users, the same each time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from timpush.jobs.chunks import ChunkId
from timpush.jobs.options import Options
from timpush.jobs.rows import Row
from timpush.queue.attributes import CHUNK, JOB_ID, Message
from timpush.queue.split import queue_messages
from timpush.removal.packing import MAX_USERS

ROOM = {JOB_ID: "j" * 80, CHUNK: "c" * 20}
"""Attributes as long as those of a job's message can be."""


class Chunk(NamedTuple):
    """A chunk's number in its range, its rows, and the body of its message."""

    number: int
    rows: list[Row]
    body: str


def cut_chunks(rows: Iterable[Row], not_after: float | None) -> Iterator[Chunk]:
    """Cut a range's rows into its chunks; a chunk has fewer than 100 when they exceed 1 MiB."""
    number, rest = 0, iter(rows)
    while batch := list(islice(rest, MAX_USERS)):
        at = 0
        users = [(row.account, row.tags) for row in batch]
        for message, accounts in queue_messages(users, not_after, ROOM):
            yield Chunk(number, batch[at : at + len(accounts)], message.body)
            at += len(accounts)
            number += 1


def make_message(chunk: Chunk, job_id: str, range_number: int, options: Options) -> Message:
    """The message of a chunk."""
    attributes = {JOB_ID: job_id, CHUNK: str(ChunkId(range_number, chunk.number))}
    return Message(chunk.body, attributes, options.message_group_id or job_id)
