"""Second step, once a byte range: check each row, count, and remember the first fault."""

from dataclasses import asdict
from typing import Any

from jobs.job import Clients, clients, read_step
from jobs.reading import read_range_rows
from timpush.jobs.messages import cut_chunks
from timpush.jobs.ranges import Range, pack_sizes


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Check the range `Range` of the job `JobId`."""
    return check(event, clients())


def check(event: dict[str, Any], aws: Clients) -> dict[str, int]:
    """Count the rows of a range, and write down what was counted."""
    job, one = read_step(event, aws.table)
    rows = read_range_rows(job, one, aws)
    one.sizes = pack_sizes(len(chunk.rows) for chunk in cut_chunks(rows, job.options.not_after))
    one.checked = True
    aws.table.update(job.job_id, Range.key(one.number), asdict(one))
    return {"Rows": one.rows, "FaultyRows": one.faulty_rows}
