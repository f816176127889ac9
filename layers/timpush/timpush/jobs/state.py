"""A job's document, its states, and its id."""

import re
import secrets
from datetime import UTC, datetime
from typing import Literal, TypedDict

State = Literal["checking", "sending", "settling", "done", "failed", "stopped"]
RUNNING = ("checking", "sending", "settling")
"""The states from which a job can be stopped."""

INBOX, REPORTS = "inbox/", "reports/"
JOB_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
"""What the name of a Step Functions execution can be, and no less plain than a folder's name."""
CHOSEN_ID_PATTERN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
"""The form of an id that an uploader chose: it is told apart from other folders' names."""


class Document(TypedDict):
    """A job as `report.json`, `GET /v1/jobs/{id}` and `job --output json` show it.

    `Rows` counts the file's rows without its header and blank lines, `FaultyRows` those that break
    a rule, `Users` the rest; `Settled` the users whose end a worker recorded. Times are ISO 8601 in
    UTC, and empty until they are known, as are `Sha256` and `Reason`.
    """

    JobId: str
    State: State
    Reason: str
    Rows: int
    FaultyRows: int
    Users: int
    Removed: int
    NotRemoved: int
    Settled: int
    StartedAt: str
    EndedAt: str
    RequestedBy: str
    Bucket: str
    Key: str
    VersionId: str
    Sha256: str
    Options: dict[str, str]
    Report: str
    """The key of report.json; empty until it is written."""


def new_document(job_id: str, bucket: str, key: str, now: datetime) -> Document:
    """The document of a job that has just started."""
    return Document(
        JobId=job_id,
        State="checking",
        Reason="",
        Rows=0,
        FaultyRows=0,
        Users=0,
        Removed=0,
        NotRemoved=0,
        Settled=0,
        StartedAt=timestamp(now),
        EndedAt="",
        RequestedBy="",
        Bucket=bucket,
        Key=key,
        VersionId="",
        Sha256="",
        Options={},
        Report="",
    )


def timestamp(now: datetime) -> str:
    """A time as documents show it, such as 2026-11-25T08:30:00Z."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def new_job_id(now: datetime | None = None) -> str:
    """An id that sorts by time, for an upload to `inbox/JOB_ID/FILE`."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def upload_key(job_id: str, file_name: str) -> str:
    """Where a file is uploaded to start a job with this id."""
    return f"{INBOX}{job_id}/{file_name}"


def chosen_id(key: str) -> str | None:
    """The id that an upload's key names; None: the job gets a new one."""
    folder, _, rest = key.removeprefix(INBOX).partition("/")
    return folder if rest and CHOSEN_ID_PATTERN.fullmatch(folder) else None


def report_key(job_id: str, name: str) -> str:
    """The key of a file of the report, such as not-removed.csv."""
    return f"{REPORTS}{job_id}/{name}"
