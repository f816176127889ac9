"""`python -m reliability.budget_worker`: one environment of the worker whose queue is never empty.

It prints "ready", waits for `begin`, invokes the real handler with batch after batch, back to back,
until `end` (both of the monotonic clock), and prints what it did as a JSON object.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from reliability.event_source import Context, kept, made_up_record
from reliability.processes import report_to_parent, wait_until

TIMEOUT_SECONDS = 120.0
LAST_CALL_SECONDS = 8.0
"""Before its deadline the handler starts no call for so long: it must be able to end and settle."""
MAX_EVENT_BYTES = 6 * 1024 * 1024
USERS = 100


def account(worker: int, message: int, user: int) -> str:
    """One of the users that the messages of a worker name."""
    return f"user-{worker}-{message:04d}-{user:02d}"


def record(worker: int, message: int, job_id: str = "") -> dict[str, Any]:
    """A record of an event, with 100 users; of a job, when it has an id."""
    users = [
        {"To_Account": account(worker, message, user), "Tags": ["gold"]} for user in range(USERS)
    ]
    body = json.dumps({"UserTags": users}, separators=(",", ":"))
    message_id = f"00000000-0000-4000-8000-{worker:04d}{message:08d}"
    if job_id:
        return made_up_record(message_id, body, JobId=job_id, Chunk=f"{worker}:{message}")
    return made_up_record(message_id, body)


def event(worker: int, messages: int, job_id: str = "") -> str:
    """An event of so many messages, or of as many as fit the 6 MB that Lambda takes."""
    records = [json.dumps(record(worker, message, job_id)) for message in range(messages)]
    while len(text := f'{{"Records":[{",".join(records)}]}}') > MAX_EVENT_BYTES:
        del records[-max(1, len(records) // 100) :]
    return text


def record_starts() -> list[float]:
    """The moments at which requests to TIMPush leave this process, from now on.

    Seen by Python's audit events, so nothing of what is measured is changed.
    """
    starts: list[float] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "http.client.send" and bytes(arguments[1][:17]) == b"POST /v4/timpush/":
            starts.append(time.monotonic())

    sys.addaudithook(hook)
    return starts


def main() -> None:
    parser = argparse.ArgumentParser(prog="budget_worker")
    parser.add_argument("--worker", type=int)
    parser.add_argument("--first", type=int, help="messages of the first batch")
    parser.add_argument("--messages", type=int, help="messages of each later batch")
    parser.add_argument("--job", default="", help="the job's id, when they are a job's")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    parent = report_to_parent(options.log)

    from remove_tags_worker.app import lambda_handler

    later, first = (
        event(options.worker, messages, options.job)
        for messages in (options.messages, options.first)
    )
    starts = record_starts()
    print("ready", file=parent)
    begin, until = json.loads(sys.stdin.readline())
    wait_until(begin)
    acknowledged: list[int] = []
    text = first
    while time.monotonic() < until:
        seconds = min(TIMEOUT_SECONDS, until + LAST_CALL_SECONDS - time.monotonic())
        batch = json.loads(text)  # as Lambda's runtime does, between two invocations
        ids = {one["messageId"] for one in batch["Records"]}
        left = kept(lambda_handler(batch, Context(seconds)), ids)
        acknowledged.extend(int(one[-8:]) for one in ids - left)
        text = later
    print(json.dumps({"starts": starts, "acknowledged": acknowledged}), file=parent)


if __name__ == "__main__":
    main()
