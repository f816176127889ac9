"""After a step that failed for good: the job has failed, and what was sent stays accounted for."""

import os
import time
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from jobs.finish import end
from jobs.job import Clients, clients
from timpush.jobs.options import Options
from timpush.jobs.state import new_document, report_key, timestamp
from timpush.jobs.table import (
    DAY,
    change_state,
    create_job,
    read_job,
    read_ranges,
)

LATE = frozenset({"settle", "report"})
"""Steps after which no other can tell more: the job ends with the figures that are known."""
MAX_CAUSE = 500
logger = Logger()


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Mark the job `JobId` as failed in the step `Stage`, with the `Error` that ended it.

    Returns the numbers of its ranges, for a report; with `Ended`, the job has ended without one,
    and the rest is what the last step returns.
    """
    return fail(event, clients(), datetime.now(UTC))


def fail(event: dict[str, Any], aws: Clients, now: datetime) -> dict[str, Any]:
    """Set the state `failed`; after a late step, end the job."""
    job_id: str = event["JobId"]
    reason = f"the step {event['Stage']} failed: {read_cause(event['Error'])}"
    logger.error("a step failed", extra={"job_id": job_id, "reason": reason})
    document = new_document(job_id, event["Bucket"], event["Key"], now)
    document["Options"] = Options().to_document()
    expires_at = int(time.time()) + int(os.environ["JOB_RETENTION_DAYS"]) * DAY
    create_job(aws.table, document, expires_at)
    change_state(aws.table, job_id, "failed", {"Reason": reason})
    if event["Stage"] not in LATE:
        ranges = [one.number for one in read_ranges(aws.table, job_id)]
        return {"JobId": job_id, "Ranges": ranges, "Ended": False}
    known = read_job(aws.table, job_id) or document
    known["EndedAt"], known["Report"] = timestamp(now), report_key(job_id, "report.json")
    return {**end(known, aws, now), "Ended": True}


def read_cause(error: dict[str, Any]) -> str:
    """The name of an error, and its text as far as it is short."""
    return f"{error.get('Error', 'unknown')}: {str(error.get('Cause', ''))[:MAX_CAUSE]}"
