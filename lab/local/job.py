"""A job on the local stack: a file into the bucket, its progress, and its report held against all.

The figures and lists of the report are compared with the file and with the stand-in's own store.
"""

import csv
import io
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.screen import bar, line, status
from local.workload import UNKNOWN_CODE
from timpush.jobs.state import Document, new_job_id, report_key, upload_key
from timpush.jobs.table import Table, read_job

if TYPE_CHECKING:
    from local.run import Local

TAG = "winback-2026"
FILE_NAME = "winback.csv"
UNKNOWN_EVERY = 1_000
"""Of one user in so many the account is not imported."""
JOB_SECONDS = 180.0
LOOK_SECONDS = 0.5


@dataclass
class JobDone:
    """A job that ran: its file's users, its report, and what is not as it must be."""

    users: int
    unknown: Counter[tuple[str, str, str, str]]
    document: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def run_job(local: "Local", users: int) -> JobDone:
    """Upload a file of so many users and follow its job to the report."""
    accounts = [f"file-user-{number:06d}" for number in range(users)]
    strangers = range(UNKNOWN_EVERY - 1, users, UNKNOWN_EVERY)
    known = set(accounts) - {accounts[number] for number in strangers}
    local.timpush.tags.update({one: {TAG, "kept"} for one in known})
    lines = ((accounts[number], number + 2) for number in strangers)  # below the header
    unknown = Counter((one, TAG, str(UNKNOWN_CODE), str(row)) for one, row in lines)
    done = JobDone(users, unknown)
    started = time.monotonic()
    job_id = upload(local, accounts)
    document = follow(local, job_id)
    done.seconds = time.monotonic() - started
    if document is None or not document["EndedAt"]:
        done.faults.append(f"job {job_id} has not ended after {JOB_SECONDS:.0f} s")
        return done
    done.document = json.loads(read(local, document, "report.json"))
    done.faults = check_report(done, read(local, document, "not-removed.csv"))
    done.faults += [
        f"{one}: has {sorted(local.timpush.tags[one])}, should have ['kept']"
        for one in known
        if local.timpush.tags[one] != {"kept"}
    ]
    return done


def upload(local: "Local", accounts: list[str]) -> str:
    """Put the file into the bucket, which starts the job; the job's id."""
    job_id = new_job_id()
    rows = "".join(f"{account},{TAG}\n" for account in accounts)
    local.client("s3").put_object(
        Bucket=local.outputs["JobsBucketName"],
        Key=upload_key(job_id, FILE_NAME),
        Body=f"To_Account,Tags\n{rows}".encode(),
        Metadata={"requested-by": "make run"},
    )
    line(f"uploaded {FILE_NAME} with {len(accounts):,} users: job {job_id}")
    return job_id


def follow(local: "Local", job_id: str) -> Document | None:
    """Show the job's progress until it has ended; its document as it is last."""
    table = Table(local.client("dynamodb"), local.outputs["JobsTableName"])
    until = time.monotonic() + JOB_SECONDS
    document, shown = None, ""
    while time.monotonic() < until and not (document and document["EndedAt"]):
        document = read_job(table, job_id)
        if document:
            settled, users = document["Settled"], document["Users"]
            text = f"{bar(settled, users or 1)} {settled:,} of {users:,} users; {document['State']}"
            if text != shown:
                status(text)
                shown = text
        time.sleep(LOOK_SECONDS)
    return document


def read(local: "Local", document: Document, name: str) -> str:
    """A file of the job's report."""
    place = {"Bucket": document["Bucket"], "Key": report_key(document["JobId"], name)}
    text: str = local.client("s3").get_object(**place)["Body"].read().decode()
    return text


def check_report(done: JobDone, not_removed: str) -> list[str]:
    """Hold the report against the file; what is not as it must be, in words."""
    left = len(done.unknown)
    expected = {
        "State": "done",
        "Rows": done.users,
        "FaultyRows": 0,
        "Users": done.users,
        "Removed": done.users - left,
        "NotRemoved": left,
        "Settled": done.users,
        "RequestedBy": "make run",
    }
    faults = [
        f"the report's {name} is {done.document.get(name)!r}, not {value!r}"
        for name, value in expected.items()
        if done.document.get(name) != value
    ]
    rows = csv.DictReader(io.StringIO(not_removed, newline=""))
    names = ("To_Account", "Tag", "ErrorCode", "Line")
    listed = Counter(tuple(row.get(name, "") for name in names) for row in rows)
    if listed != done.unknown:
        faults.append(f"not-removed.csv lists {dict(listed)}, not {dict(done.unknown)}")
    return faults
