"""`python -m reliability.chaos_worker`: one environment of the worker, fed from SQS.

Does what Lambda's event source mapping does: receives up to a batch, invokes the real handler,
deletes what the reply does not name. With `--deliveries 2` it deletes nothing that was received
once only: that is delivered again at once, in another batch. With `--throttled 0.3`, DynamoDB
throttles so many of the requests. Each step is a JSON line to the parent, before it is done:

    {"step": "begin", "receives": {message id: how often it was received}}
    {"step": "throttled", "operation": "UpdateItem"}
    {"step": "delete", "at": seconds of the monotonic clock, "ids": [...]}
    {"step": "end"}
"""

import argparse
import json
import os
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from reliability.event_source import Context, kept, record
from reliability.processes import report_to_parent
from reliability.throttling import throttle

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

TIMEOUT_SECONDS = 25.0
IDLE_SECONDS = 0.2
LIFETIME_SECONDS = 900.0
"""The most that a worker lives, should its parent be gone."""


def receive(sqs: "SQSClient", queue_url: str, most: int) -> list[Any]:
    """Up to so many messages, as far as the queue has them at hand."""
    messages: list[Any] = []
    while len(messages) < most:
        reply = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=min(10, most - len(messages)),
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        if not reply.get("Messages"):
            break
        messages.extend(reply["Messages"])
    return messages


def invoke(event: dict[str, Any]) -> set[str]:
    """Invoke the handler; the ids of the messages that stay on the queue."""
    from remove_tags_worker.app import lambda_handler

    ids = {one["messageId"] for one in event["Records"]}
    try:
        return kept(lambda_handler(event, Context(TIMEOUT_SECONDS)), ids)
    except Exception:
        traceback.print_exc()
        return ids


def delete(sqs: "SQSClient", queue_url: str, messages: list[Any]) -> None:
    """Delete messages; one that SQS does not delete comes again."""
    for start in range(0, len(messages), 10):
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages[start : start + 10])
        ]
        with suppress(ClientError, BotoCoreError):
            sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def deliver_again(sqs: "SQSClient", queue_url: str, messages: list[Any]) -> None:
    """Make messages visible again; one that SQS keeps invisible comes later."""
    for start in range(0, len(messages), 10):
        entries: Any = [
            {
                "Id": str(number),
                "ReceiptHandle": message["ReceiptHandle"],
                "VisibilityTimeout": 0,
            }
            for number, message in enumerate(messages[start : start + 10])
        ]
        with suppress(ClientError, BotoCoreError):
            sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)


def main() -> None:
    parser = argparse.ArgumentParser(prog="chaos_worker")
    parser.add_argument("--batch", type=int, help="messages, at most")
    parser.add_argument("--deliveries", type=int, default=1, help="of each message, at least")
    parser.add_argument("--throttled", type=float, default=0.0, help="share of requests")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    parent = report_to_parent(options.log)
    os.dup2(1, 2)

    def tell(step: str, **more: Any) -> None:
        parent.write(json.dumps({"step": step} | more) + "\n")  # whole, also from threads

    throttle(options.throttled, lambda operation: tell("throttled", operation=operation))
    sqs, queue_url = boto3.client("sqs"), os.environ["QUEUE_URL"]
    until = time.monotonic() + LIFETIME_SECONDS
    while time.monotonic() < until:
        try:
            messages = receive(sqs, queue_url, options.batch)
        except (ClientError, BotoCoreError):
            traceback.print_exc()
            messages = []
        if not messages:
            time.sleep(IDLE_SECONDS)
            continue
        count = "ApproximateReceiveCount"
        receives = {one["MessageId"]: int(one["Attributes"][count]) for one in messages}
        tell("begin", receives=receives)
        left = invoke({"Records": [record(one) for one in messages]})
        settled = [one for one in messages if one["MessageId"] not in left]
        early = [one for one in settled if receives[one["MessageId"]] < options.deliveries]
        done = [one for one in settled if receives[one["MessageId"]] >= options.deliveries]
        tell("delete", at=time.monotonic(), ids=[one["MessageId"] for one in done])
        delete(sqs, queue_url, done)
        deliver_again(sqs, queue_url, early)
        tell("end")


if __name__ == "__main__":
    main()
