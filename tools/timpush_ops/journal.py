"""What of a file SQS has confirmed, in a file beside it, so that a killed run can go on.

The first line says what is being sent: job, digest of the file, options. Each further line is a
range of lines of the file whose users are all on the queue. A line is on disk (fsync) before
`confirm` returns. A run that is killed between SQS's confirmation and that sends those users
again: nothing is lost, and a removal made twice does no harm.
"""

import fcntl
import json
import os
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

Lines = tuple[int, int]
"""The first and the last of a range of lines."""


class JournalError(Exception):
    """The journal cannot be used; says why, and what can be done."""


class Journal:
    """One run's hold on the journal of a file; a second run meanwhile is refused.

    `header` says what is sent; that of a journal that exists must be equal. Its `job` may be
    empty: then the job of the journal is taken over, and a new journal's is `new_job`. `resumed`
    tells whether there was a journal; one that confirms nothing, and `restart`, begin a new one.
    """

    def __init__(
        self, path: Path, header: dict[str, Any], new_job: str, restart: bool = False
    ) -> None:
        self.path = path
        self._file = _open_locked(path)
        try:
            lines = [] if restart else _read_whole_lines(self._file)
            self.resumed = bool(lines)
            if len(lines) > 1 or (lines and not _differences(header, lines[0])):
                _compare(path, header, lines[0])
                header = lines[0]
                ranges = [(one["lines"][0], one["lines"][1]) for one in lines[1:]]
            else:
                self._file.truncate(0)
                self._file.seek(0)
                ranges = []
                header = header | {"job": header["job"] or new_job}
                self._write([header])
        except (KeyError, IndexError, TypeError) as error:
            self._file.close()
            raise JournalError(f"{path} is no journal of this command: {error!r}") from None
        except BaseException:
            self._file.close()
            raise
        self.job = str(header["job"])
        self._ranges = _union(ranges)

    def covers(self, first: int, last: int) -> bool:
        """Whether the users of these lines are known to be on the queue."""
        index = bisect_right(self._ranges, (first, 2**63)) - 1
        return index >= 0 and self._ranges[index][1] >= last

    def confirm(self, ranges: Iterable[Lines]) -> None:
        """Remember that SQS confirmed all users of these lines."""
        self._write([{"lines": list(one)} for one in ranges])

    def close(self) -> None:
        """Let another run have it."""
        self._file.close()

    def _write(self, values: list[dict[str, Any]]) -> None:
        self._file.write(b"".join(json.dumps(value).encode() + b"\n" for value in values))
        self._file.flush()
        os.fsync(self._file.fileno())


def _open_locked(path: Path) -> BinaryIO:
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise JournalError(f"{path} is in use: another run is sending this file") from None
    return file


def _read_whole_lines(file: BinaryIO) -> list[dict[str, Any]]:
    """The lines; one that a killed run left unfinished is cut off."""
    file.seek(0)
    content = file.read()
    whole = content.rpartition(b"\n")[0]
    file.truncate(len(whole) + 1 if whole else 0)
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        raise JournalError(f"{file.name} is no journal of this command") from None


def _differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    names = [name for name in wanted if name != "job" and found[name] != wanted[name]]
    return names + ["job"] * bool(wanted["job"] and found["job"] != wanted["job"])


def _compare(path: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    names = _differences(wanted, found)
    if "sha256" in names:
        raise JournalError(
            f"the file has changed since job {found['job']} of {path} began: with the file as it "
            "was, that command goes on where it stopped; --restart sends the new file whole, as a "
            "new job"
        )
    if names:
        raise JournalError(
            f"{path} belongs to job {found['job']} with another {', '.join(names)}: with the same "
            "as then, the command goes on where it stopped; --restart sends the file whole, as a "
            "new job"
        )


def _union(ranges: list[Lines]) -> list[Lines]:
    """Disjoint ranges in order."""
    merged: list[Lines] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged
