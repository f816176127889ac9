"""The rest of a message: what of it is to be retried, as a smaller message of its own."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from timpush.messages import UserTags
from timpush.queue.attributes import (
    CARRIED,
    CHUNK,
    EARLIER_RECEIVES,
    JOB_ID,
    MAX_ATTRIBUTES,
    MAX_DELAY_SECONDS,
    Message,
    Record,
    count_receives,
    read_attributes,
)
from timpush.queue.split import queue_messages

OWN = (*CARRIED, CHUNK, EARLIER_RECEIVES)
"""The attributes that mean something here: they stay even if a message has too many."""


def rest_messages(
    record: Record, users: Iterable[UserTags], not_after: float | None, delay: int
) -> Iterator[Message]:
    """What remains of a record, to be received again after `delay` seconds (at most 900).

    It keeps the record's attributes and its MessageGroupId. `EarlierReceives` counts the receives
    so far. A `Chunk` of a job becomes that of its rest: `<chunk>-<8 digits of the SHA-256 of the
    body>`, so that the job knows one part of its work by one name, however often it is sent.
    """
    attributes = read_attributes(record) | {EARLIER_RECEIVES: str(count_receives(record))}
    chunk = attributes.get(CHUNK, "") if JOB_ID in attributes else ""
    if chunk:
        attributes[CHUNK] = _rest_of(chunk, "")
    names = sorted(attributes, key=lambda name: name not in OWN)[:MAX_ATTRIBUTES]
    kept = {name: attributes[name] for name in names}
    group_id = record.get("attributes", {}).get("MessageGroupId", "")
    for message, _ in queue_messages(users, not_after, kept, group_id, sys.maxsize):
        named = kept | ({CHUNK: _rest_of(chunk, message.body)} if chunk else {})
        yield replace(message, attributes=named, delay=min(delay, MAX_DELAY_SECONDS))


def _rest_of(chunk: str, body: str) -> str:
    return f"{chunk}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"
