"""Events as Lambda gets them from SQS: so many messages of so many users, all different."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from reliability.budget_worker import MAX_EVENT_BYTES
from reliability.event_source import made_up_record

RECEIPT_HANDLE = "AQEB" + "x" * 230
"""So long that some 8,500 messages of one user make 6 MB."""


def accounts(users: int) -> Iterator[str]:
    """The first so many users of all events."""
    return (f"user-{number:07d}" for number in range(users))


def record(message: int, users: int, job_id: str = "", range_number: int = 0) -> dict[str, Any]:
    """A record of an event, with so many users; with a job's id, a chunk of that range."""
    first = message * users
    rows = [
        {"To_Account": f"user-{number:07d}", "Tags": ["gold"]}
        for number in range(first, first + users)
    ]
    body = json.dumps({"UserTags": rows}, separators=(",", ":"))
    of_job = {"JobId": job_id, "Chunk": f"{range_number}:{message}"} if job_id else {}
    made = made_up_record(f"00000000-0000-4000-8000-{message:012d}", body, **of_job)
    return made | {"receiptHandle": RECEIPT_HANDLE}


def body_bytes(users: int) -> int:
    """The size of the body of a message."""
    return len(record(0, users)["body"])


@cache
def event(messages: int, users: int, job_id: str = "", range_number: int = 0) -> str:
    """An event's JSON; its messages are a job's if that has an id.

    Raises:
        ValueError: it is larger than what Lambda takes.
    """
    records = [record(message, users, job_id, range_number) for message in range(messages)]
    text = json.dumps({"Records": records}, separators=(",", ":"))
    if len(text) > MAX_EVENT_BYTES:
        raise ValueError(f"{messages} messages of {users} users are {len(text)} bytes")
    return text


def most_messages(users: int) -> int:
    """How many messages of so many users an event of 6 MB holds; all records are of one size."""
    one = len(json.dumps(record(0, users), separators=(",", ":"))) + 1
    return (MAX_EVENT_BYTES - len('{"Records":[]}')) // one
