"""Last step: put the report together, end the job, and say what the event tells."""

import json
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from jobs.bucket import ObjectWriter, read_object
from jobs.job import Clients, clients
from jobs.report import part_key
from timpush.jobs.ranges import Range
from timpush.jobs.report import FAULTS_HEADER, NOT_REMOVED_HEADER, check_sums, to_csv
from timpush.jobs.state import Document, report_key, timestamp
from timpush.jobs.table import end_job, read_ranges, read_stored, to_document
from timpush.metrics import JOBS_ENDED, NAMESPACE

DETAIL_TYPES = {"done": "Job Finished", "failed": "Job Failed", "stopped": "Job Stopped"}
logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """End the job `JobId`; returns the event's `DetailType` and `Detail`, and the job's `State`.

    Raises:
        ReportError: the figures do not add up.
    """
    return finish(event["JobId"], clients(), datetime.now(UTC))


def finish(job_id: str, aws: Clients, now: datetime) -> dict[str, Any]:
    """Write faults.csv, not-removed.csv and, last, report.json; then the job has ended."""
    item = read_stored(aws.table, job_id)
    if item is None:
        raise LookupError(f"there is no job {job_id}")
    ranges = read_ranges(aws.table, job_id) if "FaultRule" not in item else []
    document = sum_up(item, ranges, now)
    refused = [(item["FaultLine"] or "", item["FaultRule"])] if "FaultRule" in item else []
    write_list(aws, document, "faults", FAULTS_HEADER + to_csv(refused), ranges)
    write_list(aws, document, "not-removed", NOT_REMOVED_HEADER, ranges)
    return end(document, aws, now)


def sum_up(item: dict[str, Any], ranges: list[Range], now: datetime) -> Document:
    """The job's document as it ends.

    A file that is refused has no ranges: none of its rows is known.

    Raises:
        ReportError: the figures do not add up.
    """
    document = to_document(item)
    document["State"] = "done" if item["State"] not in DETAIL_TYPES else item["State"]
    document["Rows"] = sum(one.rows for one in ranges)
    document["FaultyRows"] = sum(one.faulty_rows for one in ranges)
    document["Users"] = document["Rows"] - document["FaultyRows"]
    document["Removed"] = sum(one.removed for one in ranges)
    document["NotRemoved"] = sum(one.not_removed for one in ranges)
    document["Settled"] = sum(one.settled for one in ranges)
    document["EndedAt"] = timestamp(now)
    document["Report"] = report_key(item["JobId"], "report.json")
    check_sums(
        document["Rows"], document["FaultyRows"], document["Removed"], document["NotRemoved"]
    )
    return document


def write_list(
    aws: Clients, document: Document, name: str, beginning: str, ranges: list[Range]
) -> None:
    """Write a list of the report: its beginning, and the parts of all ranges."""
    bucket, job_id = document["Bucket"], document["JobId"]
    with ObjectWriter(aws.s3, bucket, report_key(job_id, f"{name}.csv")) as writer:
        writer.write(beginning.encode())
        for one in ranges:
            for piece in read_object(aws.s3, bucket, part_key(job_id, name, one.number)):
                writer.write(piece)


def end(document: Document, aws: Clients, now: datetime) -> dict[str, Any]:
    """Write report.json, end the job, and count it; returns what the event tells."""
    state = document["State"]
    text = json.dumps(document, indent=2, ensure_ascii=False)
    with ObjectWriter(aws.s3, document["Bucket"], document["Report"]) as writer:
        writer.write(text.encode())
    values = {key: value for key, value in document.items() if key != "JobId"}
    end_job(aws.table, document["JobId"], values, now)
    metrics.add_metric(JOBS_ENDED[state], MetricUnit.Count, 1)
    metrics.flush_metrics()
    figures = {key: document[key] for key in ("Rows", "Users", "Removed", "NotRemoved")}
    logger.info("job ended", extra={"job_id": document["JobId"], "state": state, **figures})
    return {"State": state, "DetailType": DETAIL_TYPES[state], "Detail": document}
