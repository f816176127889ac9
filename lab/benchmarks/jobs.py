"""Jobs: rows per second of one processor that a byte range is checked, sent and reported with.

    python -m benchmarks.jobs

Bucket, table and queue are stand-ins that answer at once, so each figure is what the code itself
takes. Ends with 1 when checking and sending reach less than 20,000 rows a second, or the process
has used more than 256 MB.
"""

import io
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from jobs.check import check
from jobs.job import Clients
from jobs.report import report
from jobs.send import send_range
from timpush.jobs.options import Options
from timpush.jobs.ranges import RANGE_BYTES, Range
from timpush.jobs.state import new_document
from timpush.jobs.table import JOB, Table

AIM_ROWS = 20_000
AIM_MB = 256
JOB_ID = "20261125T080000Z-0123abcd"
LINES = {
    "csv": ("users.csv", b"To_Account,Tags\n", b"user-%07d,gold|week-pass\n"),
    "jsonl": ("users.jsonl", b"", b'{"To_Account":"user-%07d","Tags":["gold","week-pass"]}\n'),
}


class File:
    """Stands for S3: one file to read, and parts of a report that are thrown away."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def get_object(self, Range: str, **_: Any) -> Any:  # noqa: N803 - S3's own name
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        body = io.BytesIO(self.data[first : last + 1])
        return {"Body": body, "ContentRange": f"bytes {first}-{last}/{len(self.data)}"}

    def put_object(self, **_: Any) -> None:
        """Take a small object."""

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        """Begin a large one."""
        return {"UploadId": "upload"}

    def upload_part(self, **_: Any) -> dict[str, str]:
        """Take a part of it."""
        return {"ETag": "part"}

    def complete_multipart_upload(self, **_: Any) -> None:
        """End it."""


class Queue:
    """Stands for SQS: takes every message."""

    def __init__(self) -> None:
        self.messages = 0

    def send_message_batch(self, Entries: list[Any], **_: Any) -> Any:  # noqa: N803
        self.messages += len(Entries)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class Items:
    """Stands for the table: a job, and a range in which every chunk is done."""

    def __init__(self, job: dict[str, Any], one: Range) -> None:
        self.items = {JOB: job, Range.key(one.number): asdict(one)}

    def get(self, _job_id: str, item: str) -> dict[str, Any]:
        """One item."""
        return dict(self.items[item])

    def query(self, _job_id: str, prefix: str) -> list[dict[str, Any]]:
        """The records of workers."""
        done = {"Item": "chunks#00000#0000", "Done": set(range(10_000))}
        return [done] if prefix.startswith("chunks#") else []

    def update(self, _job_id: str, item: str, values: dict[str, Any]) -> bool:
        """Set attributes."""
        self.items[item].update(values)
        return True


def stand_ins(file_format: str) -> tuple[Clients, Items, int]:
    """A job of one range of 8 MiB; and how many rows that has."""
    name, header, line = LINES[file_format]
    rows = (RANGE_BYTES - len(header)) // len(line % 0)
    data = header + b"".join(line % number for number in range(rows))
    document = new_document(JOB_ID, "bucket", f"inbox/{name}", datetime.now(UTC))
    job: dict[str, Any] = {**document, "State": "sending", "ExpiresAt": 0, "Format": file_format}
    job |= {"Options": Options().to_document(), "Size": len(data), "ETag": "etag"}
    job["Columns"] = [0, 1, False]
    items = Items(job, Range(0, 0, len(data)))
    aws = Clients()
    aws.__dict__ |= {"s3": File(data), "sqs": Queue(), "table": cast(Table, items)}
    return aws, items, rows


def measure(step: Callable[[], object]) -> float:
    """Seconds of processor time that a step takes, the least of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        step()
        best = min(best, time.process_time() - began)
    return best


def main() -> int:
    """The program; returns its exit code."""
    os.environ["QUEUE_URL"] = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"
    reached = True
    print(f"{'':6} {'rows':>8} {'check/s':>9} {'send/s':>9} {'both/s':>9} {'report/s':>9}")
    for file_format in LINES:
        aws, items, rows = stand_ins(file_format)
        event = {"JobId": JOB_ID, "Range": 0}
        checking = measure(partial(check, event, aws))

        def send(event: dict[str, Any] = event, aws: Clients = aws, items: Items = items) -> None:
            items.update(JOB_ID, Range.key(0), {"sent": False, "sent_to": 0})
            send_range(event, aws, time.monotonic() + 600)

        sending = measure(send)
        reporting = measure(partial(report, event, aws))
        both = rows / (checking + sending)
        reached &= both >= AIM_ROWS
        figures = (rows, rows / checking, rows / sending, both, rows / reporting)
        print(f"{file_format:6} " + " ".join(f"{one:>9,.0f}" for one in figures))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory of the process, with the file of 8 MiB itself: {memory:.0f} MB")
    return 0 if reached and memory <= AIM_MB else 1


if __name__ == "__main__":
    sys.exit(main())
