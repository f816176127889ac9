"""What the steps of a job share: their clients, and the job as they find it in the table."""

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from jobs.bucket import Upload
from timpush.jobs.options import Options
from timpush.jobs.ranges import Range
from timpush.jobs.rows import Columns, Format, Rules
from timpush.jobs.table import Table, read_range, read_stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

CONFIG = Config(
    connect_timeout=2, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}
)


class Clients:
    """The AWS clients of an environment, each made when it is first used."""

    @cached_property
    def s3(self) -> "S3Client":
        """S3. Path style, so that a host of an emulator without DNS is reached."""
        return boto3.client("s3", config=CONFIG)

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS; `queue.sender` tries again by itself."""
        return boto3.client("sqs", config=CONFIG)

    @cached_property
    def table(self) -> Table:
        """The table of jobs."""
        return Table(boto3.client("dynamodb", config=CONFIG), os.environ["JOBS_TABLE"])


@lru_cache(maxsize=1)
def clients() -> Clients:
    """Those of this environment."""
    return Clients()


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was planned. `fault` is that of its file as a whole: a line and a rule."""

    job_id: str
    state: str
    upload: Upload
    rules: Rules
    options: Options
    expires_at: int
    fault: tuple[int, str] | None

    @classmethod
    def from_item(cls, item: dict[str, Any]) -> "Job":
        """Read its item."""
        columns = item.get("Columns")
        options = Options.from_document(item["Options"])
        file_format: Format = item.get("Format", "csv")
        return cls(
            item["JobId"],
            item["State"],
            Upload(
                item["Bucket"],
                item["Key"],
                item["VersionId"],
                item.get("ETag", ""),
                item.get("Size", 0),
                item["Key"].lower().endswith(".gz"),
            ),
            Rules(file_format, options.separator, Columns(*columns) if columns else None),
            options,
            item["ExpiresAt"],
            (item["FaultLine"], item["FaultRule"]) if "FaultRule" in item else None,
        )


def read_planned(table: Table, job_id: str) -> Job:
    """The job, as it was planned and as its state is now.

    Raises:
        LookupError: the table holds no such job.
    """
    item = read_stored(table, job_id)
    if item is None:
        raise LookupError(f"there is no job {job_id}")
    return Job.from_item(item)


def read_step(event: dict[str, Any], table: Table) -> tuple[Job, Range]:
    """The job and the byte range that a step of a map is for."""
    job_id: str = event["JobId"]
    return read_planned(table, job_id), read_range(table, job_id, event["Range"])
