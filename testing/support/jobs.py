"""A job from upload to report: the steps' functions in their order, and the worker between them.

`JobRun` stands for the state machine and for the event source mapping.
"""

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.check import check
from jobs.decide import decide
from jobs.finish import finish
from jobs.job import Clients, clients
from jobs.plan import plan
from jobs.report import report
from jobs.send import send_range
from jobs.settle import settle
from support.job_store import JobStore, job_store
from support.worker import Worker
from timpush.jobs.state import new_job_id, upload_key

PATIENCE_SECONDS = 60.0


@dataclass
class JobRun:
    """One job. `deliveries` is how often each message is delivered, at least."""

    store: JobStore
    worker: Worker
    aws: Clients
    deliveries: int = 1
    job_id: str = field(default_factory=new_job_id)
    ranges: list[int] = field(default_factory=list)

    def upload(self, body: str | bytes, name: str = "users.csv", **metadata: str) -> None:
        """Put the file into the inbox."""
        self.store.s3.put_object(
            Bucket=self.store.bucket,
            Key=upload_key(self.job_id, name),
            Body=body.encode() if isinstance(body, str) else body,
            Metadata={key.replace("_", "-"): value for key, value in metadata.items()},
        )

    def check(self, name: str = "users.csv") -> str:
        """Plan, check and decide; returns what is next."""
        event = {"JobId": self.job_id, "Bucket": self.store.bucket}
        event |= {"Key": upload_key(self.job_id, name), "VersionId": ""}
        planned = plan(event, self.aws, datetime.now(UTC))
        self.ranges = planned["Ranges"]
        if planned["Next"] != "check":
            return str(planned["Next"])
        for number in self.ranges:
            check({"JobId": self.job_id, "Range": number}, self.aws)
        return str(decide({"JobId": self.job_id}, self.aws)["Next"])

    def send(self) -> None:
        """Send all ranges."""
        for number in self.ranges:
            event = {"JobId": self.job_id, "Range": number}
            send_range(event, self.aws, time.monotonic() + 60)

    def settled(self, now: float | None = None) -> bool:
        """Whether the job is settled, or given up."""
        reply = settle({"JobId": self.job_id}, self.aws, int(now or time.time()))
        return bool(reply["Settled"])

    def work(self) -> None:
        """Let the worker take messages until the job is settled."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.settled():
            assert time.monotonic() < until, "the job does not settle"
            self.deliver()

    def deliver(self) -> int:
        """One batch of up to ten messages, delivered `deliveries` times; how many it held."""
        messages = self.worker.sqs.receive_message(
            QueueUrl=self.worker.queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            VisibilityTimeout=1,
        ).get("Messages", [])
        event = {"Records": [to_record(message) for message in messages]}
        failed: set[str] = set()
        for _ in range(self.deliveries if messages else 0):
            failed = set(self.worker.handle(event))
        for message in messages:
            if message["MessageId"] not in failed:
                self.worker.sqs.delete_message(
                    QueueUrl=self.worker.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return len(messages)

    def finish(self) -> dict[str, Any]:
        """Report and end; the report, as it is in the bucket."""
        for number in self.ranges:
            report({"JobId": self.job_id, "Range": number}, self.aws)
        finish(self.job_id, self.aws, datetime.now(UTC))
        document: dict[str, Any] = json.loads(self.read("report.json"))
        return document

    def run(self, body: str | bytes, name: str = "users.csv", **metadata: str) -> dict[str, Any]:
        """All of it."""
        self.upload(body, name, **metadata)
        if self.check(name) == "send":
            self.send()
            self.work()
        return self.finish()

    def read(self, name: str) -> str:
        """A file of the report."""
        key = f"reports/{self.job_id}/{name}"
        body = self.store.s3.get_object(Bucket=self.store.bucket, Key=key)["Body"]
        return body.read().decode()

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a list of the report."""
        return list(csv.DictReader(io.StringIO(self.read(name))))

    def again(self) -> "JobRun":
        """Another job of the same bucket and table."""
        return JobRun(self.store, self.worker, self.aws, self.deliveries)


def to_record(message: Any) -> dict[str, Any]:
    """A received message as a record of an event source mapping."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {"stringValue": value["StringValue"], "dataType": "String"}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "eventSource": "aws:sqs",
    }


@contextmanager
def running_job(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobRun]:
    """A job in an empty bucket and table, with backoffs of at most a second."""
    with job_store() as store:
        variables = {
            "JOBS_TABLE": store.table.name,
            "JOB_RETENTION_DAYS": "30",
            "RETRY_BASE_SECONDS": "1",
            "RETRY_CAP_SECONDS": "1",
        }
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        clients.cache_clear()
        yield JobRun(store, worker, Clients())
        clients.cache_clear()


def csv_of(users: int, tags: str = "gold") -> str:
    """A file of so many users."""
    return "To_Account,Tags\n" + "".join(f"user-{number},{tags}\n" for number in range(users))
