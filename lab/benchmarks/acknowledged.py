"""`python -m benchmarks.acknowledged`: users who are acknowledged but still have the tag.

A plain handler and this application get the same 100 messages of 100 users. For one user of each
message TIMPush reports a failure, in the way it does: status 200, ErrorCode 0, and a row of
ErrorList. Half of them can never succeed (70107), half could later (91000). A user is lost if the
message was acknowledged, the tag is still there, and neither queue names the user.

Exit code 1 if this application loses a user.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any, NamedTuple

from benchmarks.events import event
from benchmarks.fleet import SECRET_ID, function_environment
from local.emulator import emulator
from local.run import read_dead_letters
from local.stack import client
from reliability.event_source import Context, kept
from timpush_server import TimPushServer

HANDLERS = {
    "a plain handler": "benchmarks.peers.plain",
    "this application": "remove_tags_worker.app",
}
MESSAGES, USERS = 100, 100
CODES = (70107, 91000)
SECONDS = 60.0


class Row(NamedTuple):
    """Users by what became of them."""

    removed: int
    dead_lettered: int
    queued: int
    lost: int


def main() -> int:
    """The command; returns its exit code."""
    rows = {name: measure(module) for name, module in HANDLERS.items()}
    print(f"{MESSAGES * USERS:,} users in {MESSAGES} messages; TIMPush fails {MESSAGES} of them:")
    print("status 200, ErrorCode 0, and a row of ErrorList. What became of the users:\n")
    heads = ("removed", "dead-lettered", "on the queue", "acknowledged, not removed")
    print(" " * 18, *(f"{head:>{len(head) + 2}}" for head in heads))
    for name, row in rows.items():
        print(
            f"{name:<18}",
            *(f"{one:>{len(head) + 2},}" for head, one in zip(heads, row, strict=True)),
        )
    return int(rows["this application"].lost > 0)


def measure(module: str) -> Row:
    """Let a handler work on the batch once, with servers of its own."""
    batch = json.loads(event(MESSAGES, USERS))
    with TimPushServer() as timpush, emulator() as (aws, _):
        timpush.tags.update({one: {"gold"} for record in batch["Records"] for one in users(record)})
        for number, record in enumerate(batch["Records"]):
            timpush.account_codes[users(record)[number]] = CODES[number % len(CODES)]
        client("secretsmanager", aws).create_secret(Name=SECRET_ID, SecretString=timpush.secret())
        sqs = client("sqs", aws)
        queues = {
            name: sqs.create_queue(QueueName=name.lower())["QueueUrl"]
            for name in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL")
        }
        os.environ.update(function_environment(aws, timpush.url, queues))
        with redirect_stdout(StringIO()):  # its logs
            reply = import_module(module).lambda_handler(batch, Context(SECONDS))
        still = {one for one, tags in timpush.tags.items() if tags}
        dead, again = (named(read_dead_letters(sqs, queues[name])) for name in reversed(queues))
    return count(batch, reply, still, dead, again)


def count(
    batch: dict[str, Any], reply: Any, still: set[str], dead: set[str], again: set[str]
) -> Row:
    """What became of each user; `still` have the tag, `dead` and `again` are named by a queue."""
    stay = kept(reply, {record["messageId"] for record in batch["Records"]})
    returned = again.union(
        *(users(record) for record in batch["Records"] if record["messageId"] in stay)
    )
    everyone = {one for record in batch["Records"] for one in users(record)}
    return Row(
        removed=len(everyone - still),
        dead_lettered=len(still & dead),
        queued=len(still & returned - dead),
        lost=len(still - dead - returned),
    )


def users(record: dict[str, Any]) -> list[str]:
    """The accounts of a record of an event."""
    return [row["To_Account"] for row in json.loads(record["body"])["UserTags"]]


def named(messages: list[Any]) -> set[str]:
    """The accounts that messages name."""

    def rows() -> Iterator[dict[str, Any]]:
        for message in messages:
            yield from json.loads(message["Body"])["UserTags"]

    return {row["To_Account"] for row in rows()}


if __name__ == "__main__":
    sys.exit(main())
