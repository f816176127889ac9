"""Sixth step, once a byte range: what became of each of its users, and its faults."""

from dataclasses import asdict
from typing import Any

from jobs.bucket import ObjectWriter
from jobs.job import Clients, Job, clients, read_step
from jobs.reading import read_range_rows
from timpush.jobs.chunks import STOPPED, read_settlements
from timpush.jobs.messages import cut_chunks
from timpush.jobs.ranges import Range
from timpush.jobs.report import (
    NOT_SENT,
    RangeCount,
    Recorded,
    check_sums,
    report_range,
    to_csv,
)
from timpush.jobs.state import report_key
from timpush.jobs.table import read_records


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Report on the range `Range` of the job `JobId`.

    Raises:
        ReportError: the rows are not those that were checked, or were not counted exactly once.
    """
    return report(event, clients())


def report(event: dict[str, Any], aws: Clients) -> dict[str, int]:
    """Read the range again, join it with what workers recorded, and write its parts."""
    job, one = read_step(event, aws.table)
    checked = (one.rows, one.faulty_rows) if one.checked else None
    recorded = read_recorded(job, one, aws)
    counted = RangeCount()
    bucket, number = job.upload.bucket, one.number
    lists = ObjectWriter(aws.s3, bucket, part_key(job.job_id, "not-removed", number))
    faults = ObjectWriter(aws.s3, bucket, part_key(job.job_id, "faults", number))
    with lists, faults:
        rows = read_range_rows(
            job,
            one,
            aws,
            lambda fault: faults.write(
                to_csv([(fault.line + one.first_line - 1, fault.rule)]).encode()
            ),
        )
        chunks = cut_chunks(rows, job.options.not_after)
        for text in report_range(chunks, recorded, one.first_line, counted):
            lists.write(text.encode())
        check_sums(one.rows, one.faulty_rows, counted.removed, counted.not_removed)
        if checked:
            check_sums(checked[0], checked[1], counted.removed, counted.not_removed)
    values = {**asdict(one), **asdict(counted)}
    aws.table.update(job.job_id, Range.key(number), values)
    return {"Removed": counted.removed, "NotRemoved": counted.not_removed}


def read_recorded(job: Job, one: Range, aws: Clients) -> Recorded:
    """All that workers recorded of a range."""
    table, job_id, number = aws.table, job.job_id, one.number
    settlements = read_settlements(
        table.query(job_id, f"part#{number:05d}#"), table.query(job_id, f"detail#{number:05d}#")
    )
    unsent = STOPPED if job.state == "stopped" else NOT_SENT
    return Recorded(number, read_records(table, job_id, number), settlements, one.sent_to, unsent)


def part_key(job_id: str, name: str, number: int) -> str:
    """The key of a range's part of a list."""
    return report_key(job_id, f"parts/{name}-{number:05d}.csv")
