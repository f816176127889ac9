"""A file -> byte ranges of 8 MiB, each read, checked and sent on its own.

A line belongs to the range in which its first byte lies: a reader of a range skips the rest of the
line before it, and reads its last line to the end. So each line is read by exactly one range, and
the ranges follow from the file's size alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

RANGE_BYTES = 8 * 1024 * 1024
MAX_FILE_BYTES = 10 * 1024**3
"""10 GiB, about 400 million rows; 1,280 ranges, whose numbers fit the state of a state machine
(256 KiB)."""
MAX_GZIP_BYTES = 64 * 1024**2
"""A compressed file can only be read from its start: it is one range."""
MAX_UNCOMPRESSED_BYTES = 256 * 1024**2
"""Of a compressed file: about ten million rows, which one function reads within its 15 minutes."""


@dataclass(slots=True)
class Range:
    """Bytes `start` to `end` (exclusive) of a file, and what its steps found.

    `first_line` is the number of its first line in the file, counted from 1 and known once all
    ranges are checked. `sizes` are the users of each chunk, as `pack_sizes` writes them. `fault` is
    its first fault, and `broken` says that the file cannot be read on from there. `sent_to` is the
    number of chunks that may have been sent. The last three are what its report counted.
    """

    number: int
    start: int
    end: int
    first_line: int = 1
    lines: int = 0
    rows: int = 0
    faulty_rows: int = 0
    sizes: str = ""
    fault_line: int = 0
    fault_rule: str = ""
    checked: bool = False
    sent_to: int = 0
    sent: bool = False
    broken: bool = False
    removed: int = 0
    not_removed: int = 0
    settled: int = 0

    @property
    def users(self) -> int:
        """How many rows passed the check."""
        return self.rows - self.faulty_rows

    @staticmethod
    def key(number: int) -> str:
        """The sort key of its item."""
        return f"range#{number:05d}"

    def to_item(self) -> dict[str, Any]:
        """It as attributes of an item."""
        return {"Item": self.key(self.number), **asdict(self)}

    @classmethod
    def from_item(cls, item: dict[str, Any]) -> "Range":
        """Read its item."""
        return cls(**{name: item[name] for name in cls.__dataclass_fields__})


def plan_ranges(size: int, compressed: bool) -> Iterator[Range]:
    """The ranges of a file of `size` bytes (at least 1)."""
    if compressed:
        yield Range(0, 0, size)
        return
    for number, start in enumerate(range(0, size, RANGE_BYTES)):
        yield Range(number, start, min(start + RANGE_BYTES, size))


def pack_sizes(sizes: Iterable[int]) -> str:
    """Sizes of chunks as text, equal neighbours as one: [100, 100, 7] -> "100x2,7x1"."""
    return ",".join(f"{size}x{len(list(group))}" for size, group in groupby(sizes))


def unpack_sizes(text: str) -> list[int]:
    """What `pack_sizes` wrote."""
    runs = (run.split("x") for run in text.split(",") if run)
    return [int(size) for size, times in runs for _ in range(int(times))]
