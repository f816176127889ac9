"""Third step: add up what the checks counted, and stop or go on."""

from collections.abc import Iterable
from typing import Any

from aws_lambda_powertools import Logger

from jobs.job import Clients, Job, clients, read_planned
from timpush.jobs.ranges import Range
from timpush.jobs.table import change_state, read_ranges

logger = Logger()


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Decide on the job `JobId`; `Next` is `send` or `report`."""
    return decide(event, clients())


def decide(event: dict[str, Any], aws: Clients) -> dict[str, Any]:
    """Number the lines of all ranges, and move the job on."""
    job = read_planned(aws.table, event["JobId"])
    ranges = read_ranges(aws.table, job.job_id)
    number_lines(ranges)
    for one in ranges[1:]:
        aws.table.update(job.job_id, Range.key(one.number), {"first_line": one.first_line})
    rows, faulty = sum(one.rows for one in ranges), sum(one.faulty_rows for one in ranges)
    figures = {"Rows": rows, "FaultyRows": faulty, "Users": rows - faulty}
    reason = find_reason(job, ranges, faulty, rows)
    if reason:
        logger.warning("nothing is sent", extra={"job_id": job.job_id, "reason": reason})
        change_state(aws.table, job.job_id, "failed", {"Reason": reason, **figures})
        return {"Next": "report"}
    if job.options.dry_run:
        change_state(aws.table, job.job_id, "checking", {"Reason": DRY_RUN, **figures})
        return {"Next": "report"}
    running = change_state(aws.table, job.job_id, "sending", figures)
    return {"Next": "send" if running else "report"}


DRY_RUN = "dry run: nothing was sent"


def number_lines(ranges: Iterable[Range]) -> None:
    """Give each range the number of its first line in the file."""
    line = 1
    for one in ranges:
        one.first_line = line
        line += one.lines


def find_reason(job: Job, ranges: Iterable[Range], faulty: int, rows: int) -> str:
    """Why nothing may be sent; empty: it may."""
    first = next((one for one in ranges if one.fault_rule), None)
    broken = any(one.broken for one in ranges)
    if first and (broken or job.options.on_fault == "stop"):
        line = first.first_line + first.fault_line - 1
        more = f" ({faulty:,} faulty rows in all)" if faulty > 1 else ""
        return f"stopped by faults: line {line}: {first.fault_rule}{more}; nothing was sent"
    if rows == faulty:
        return "line 1: the file must hold users, but holds none; nothing was sent"
    return ""
