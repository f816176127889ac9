"""Reads a byte range once: gives its good rows, and counts all others on the way."""

from collections.abc import Callable, Iterator

from jobs.job import Clients, Job
from timpush.jobs.lines import GzipError
from timpush.jobs.ranges import Range
from timpush.jobs.rows import Fault, Row, read_rows


def ignore(_fault: Fault) -> None:
    """For a step that needs no faults."""


def read_range_rows(
    job: Job, one: Range, aws: Clients, tell: Callable[[Fault], object] = ignore
) -> Iterator[Row]:
    """The rows of a range that break no rule; `tell` is called with each fault.

    `one` is given what is counted, complete once the last row was read. Line numbers count from the
    first line of the range.
    """
    one.lines = one.rows = one.faulty_rows = one.fault_line = 0
    one.fault_rule, one.broken = "", False

    def lines() -> Iterator[bytes]:
        for line in job.upload.read_lines(aws.s3, one):
            one.lines += 1
            yield line

    def note(fault: Fault) -> None:
        one.faulty_rows += 1
        if not one.fault_rule:
            one.fault_line, one.fault_rule = fault
        tell(fault)

    rows = 0
    try:
        for found in read_rows(lines(), job.rules, is_start=one.start == 0):
            if isinstance(found, Row):
                rows += 1
                yield found
            else:
                note(found)
    except GzipError as error:
        one.broken = True
        note(Fault(one.lines + 1, str(error)))
    one.rows = rows + one.faulty_rows
