"""Byte ranges and workers' records -> a job's figures."""

from collections.abc import Iterable
from typing import NamedTuple

from timpush.jobs.chunks import Records
from timpush.jobs.ranges import Range


class Figures(NamedTuple):
    """The figures of a job's document, by their names there."""

    Rows: int = 0
    FaultyRows: int = 0
    Users: int = 0
    Removed: int = 0
    NotRemoved: int = 0
    Settled: int = 0


def count(ranges: Iterable[Range], records: Records) -> Figures:
    """Add up a job's figures."""
    raise NotImplementedError
