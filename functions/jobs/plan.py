"""First step: look at the upload, read its options and header, and cut it into byte ranges."""

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from jobs.bucket import Upload
from jobs.job import Clients, clients
from timpush.jobs.options import Options, OptionsError, read_options
from timpush.jobs.ranges import Range, plan_ranges
from timpush.jobs.rows import SUFFIXES, Fault, check_size, guess_format, read_columns
from timpush.jobs.state import new_document
from timpush.jobs.table import DAY, change_state, create_job, put_ranges

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = Logger()


class RefusedError(Exception):
    """The file as a whole cannot be a job; `line` is 0 when no line is to blame."""

    def __init__(self, rule: str, line: int = 0) -> None:
        super().__init__(rule)
        self.rule, self.line = rule, line


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Plan the job `JobId` of the upload `Bucket`, `Key`, `VersionId`; returns its ranges."""
    return plan(event, clients(), datetime.now(UTC))


def plan(event: dict[str, Any], aws: Clients, now: datetime) -> dict[str, Any]:
    """Create the job; `Ranges` are the numbers of its ranges, none when the file is refused."""
    job_id, bucket, key = event["JobId"], event["Bucket"], event["Key"]
    document = new_document(job_id, bucket, key, now)
    expires_at = int(time.time()) + int(os.environ["JOB_RETENTION_DAYS"]) * DAY
    head = read_head(aws.s3, bucket, key, event.get("VersionId", ""))
    document["VersionId"] = head.get("VersionId", "")
    document["RequestedBy"] = head.get("Metadata", {}).get("requested-by", "")
    document["Options"] = Options().to_document()
    create_job(aws.table, document, expires_at)
    try:
        planned, ranges = examine(aws.s3, document["VersionId"], bucket, key, head)
    except RefusedError as error:
        at = f"line {error.line}: " if error.line else ""
        fault = {"FaultLine": error.line, "FaultRule": error.rule}
        change_state(aws.table, job_id, "failed", {"Reason": f"{at}{error.rule}", **fault})
        logger.warning("the file was refused", extra={"job_id": job_id, "reason": error.rule})
        return {"JobId": job_id, "Ranges": [], "Next": "report"}
    put_ranges(aws.table, job_id, ranges, expires_at)
    change_state(aws.table, job_id, "checking", planned)
    return {"JobId": job_id, "Ranges": [one.number for one in ranges], "Next": "check"}


def read_head(s3: "S3Client", bucket: str, key: str, version_id: str) -> Any:
    """What S3 says of the upload; nothing when it is gone already."""
    version: Any = {"VersionId": version_id} if version_id else {}
    try:
        return s3.head_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NoSuchVersion"):
            raise
        return {}


def examine(
    s3: "S3Client", version_id: str, bucket: str, key: str, head: Any
) -> tuple[dict[str, Any], list[Range]]:
    """What the steps need to know of the file, and its ranges.

    Raises:
        RefusedError: the file or its options break a rule.
    """
    size = check_object(key, head)
    file_format = guess_format(key)
    if file_format is None:
        raise RefusedError(f"the name must end with one of {', '.join(SUFFIXES)}, or that and .gz")
    try:
        options = read_options(head["Metadata"])
    except OptionsError as error:
        raise RefusedError(f"options: {error}") from None
    upload = Upload(bucket, key, version_id, head["ETag"], size, key.lower().endswith(".gz"))
    ranges = list(plan_ranges(size, upload.compressed))
    planned: dict[str, Any] = {
        "ETag": upload.etag,
        "Size": size,
        "Format": file_format,
        "Options": options.to_document(),
        "RequestedBy": options.requested_by,
        "Sha256": upload.digest(s3),
    }
    if file_format == "csv":
        columns = read_columns(upload.read_lines(s3, ranges[0]))
        if isinstance(columns, Fault):
            raise RefusedError(columns.rule, columns.line)
        planned["Columns"] = list(columns)
    return planned, ranges


def check_object(key: str, head: Any) -> int:
    """The file's size in bytes.

    Raises:
        RefusedError: it is gone, a folder marker, empty or too large.
    """
    if not head:
        raise RefusedError("the file was deleted before it was read")
    size: int = head["ContentLength"]
    if key.endswith("/"):
        raise RefusedError("the name ends with a slash: it marks a folder and holds no users")
    fault = check_size(size, key.lower().endswith(".gz"))
    if fault:
        raise RefusedError(fault.rule, fault.line)
    return size
