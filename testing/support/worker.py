"""The worker's function between a queue's dead letters, a secret and a stand-in TIMPush.

`Worker.handle` is one invocation with the event that an event source mapping would send.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from remove_tags_worker import app
from support.clients import secrets_client, sqs_client
from support.rotation import Context, aws_variables
from timpush.settings import read_settings
from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

Tags = dict[str, list[str]]


def body(tags: Tags, **extra: Any) -> str:
    """A message body that asks to remove these tags of these accounts."""
    rows = [{"To_Account": account, "Tags": names} for account, names in tags.items()]
    return json.dumps({"UserTags": rows} | extra)


def record(message_id: str, text: str, receive_count: int = 1, handle: str = "") -> dict[str, Any]:
    """A record of an SQS event."""
    return {
        "messageId": message_id,
        "receiptHandle": handle or f"handle-{message_id}",
        "body": text,
        "attributes": {"ApproximateReceiveCount": str(receive_count)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


def sqs_event(bodies: dict[str, str] | Iterable[str]) -> dict[str, Any]:
    """An event with a record for each body, by message id or numbered `m0`, `m1`, ..."""
    if not isinstance(bodies, dict):
        bodies = {f"m{index}": text for index, text in enumerate(bodies)}
    return {"Records": [record(message_id, text) for message_id, text in bodies.items()]}


def worker_queue_client() -> "SQSClient":
    """The client of SQS that the function holds."""
    return app.make_worker(read_settings(os.environ)).sqs


@dataclass
class Worker:
    """The function, and what stands around it."""

    timpush: TimPushServer
    sqs: "SQSClient"
    secrets: "SecretsManagerClient"
    queue_url: str
    dead_letter_queue_url: str
    secret_id: str
    replies: list[Any] = field(default_factory=list)

    def handle(self, event: dict[str, Any], seconds: float = 9.5) -> list[str]:
        """One invocation with so many seconds; the ids that it reports as failed."""
        reply = app.lambda_handler(event, Context(seconds))
        self.replies.append(reply)
        assert set(reply) == {"batchItemFailures"}
        failed = [row["itemIdentifier"] for row in reply["batchItemFailures"]]
        assert all(set(row) == {"itemIdentifier"} for row in reply["batchItemFailures"])
        assert len(set(failed)) == len(failed)
        assert set(failed) <= {one["messageId"] for one in event["Records"]}
        return failed

    def remove(self, *bodies: str, seconds: float = 9.5) -> list[str]:
        """`handle` with an event of these bodies."""
        return self.handle(sqs_event(bodies), seconds)

    def know(self, tags: Tags) -> None:
        """Make these accounts known to TIMPush, with these tags."""
        self.timpush.tags.update({account: set(names) for account, names in tags.items()})

    def store_secret(self, text: str) -> None:
        """Make this the secret's value."""
        self.secrets.put_secret_value(SecretId=self.secret_id, SecretString=text)

    def dead_letters(self) -> list[tuple[str, dict[str, str]]]:
        """Take every message off the dead-letter queue: its body and its attributes."""
        found: list[tuple[str, dict[str, str]]] = []
        while messages := self._receive():
            for one in messages:
                attributes = one.get("MessageAttributes", {})
                values = {name: value["StringValue"] for name, value in attributes.items()}
                found.append((one["Body"], values))
        return found

    def _receive(self) -> list[Any]:
        url = self.dead_letter_queue_url
        messages: list[Any] = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        for one in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return messages


@contextmanager
def working(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A fresh environment of the worker, with a good secret and empty queues."""
    name = uuid.uuid4().hex
    sqs, secrets = sqs_client(aws_url), secrets_client(aws_url)
    with TimPushServer() as timpush:
        queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
        dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        secrets.create_secret(Name=name, SecretString=timpush.secret())
        variables = aws_variables(aws_url) | {
            "TIMPUSH_REGION": "singapore",
            "TIMPUSH_ENDPOINT_URL": timpush.url,
            "TIMPUSH_SECRET_ID": name,
            "TIMPUSH_CALLS_PER_SECOND": "100",
            "WORKER_CONCURRENCY": "2",
            "QUEUE_URL": queue_url,
            "DEAD_LETTER_QUEUE_URL": dead,
        }
        for variable, text in variables.items():
            monkeypatch.setenv(variable, text)
        app.make_worker.cache_clear()
        try:
            yield Worker(timpush, sqs, secrets, queue_url, dead, name)
        finally:
            app.make_worker.cache_clear()
            sqs.close()
            secrets.close()
