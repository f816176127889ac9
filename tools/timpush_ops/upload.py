"""Uploads a file of users to the jobs bucket; the upload starts the job.

With a tag for all of them, a file of ids, one a line, is turned into JSON lines on the way up, line
by line, so that the line numbers in the job's report are those of the file.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timpush.jobs.lines import cut_lines, unzip
from timpush.jobs.ranges import MAX_UNCOMPRESSED_BYTES
from timpush.jobs.rows import Fault, check_size, guess_format, read_columns

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PIECE_BYTES = 64 * 1024
HEADER = "To_Account"
NOT_IN_IDS = {",": "a comma", ";": "a semicolon", '"': "a quote", "\t": "a tab"}
"""Characters that say the file has columns."""


class UploadError(Exception):
    """The file cannot be uploaded as asked; says the line, the rule and what to do."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, its place in the bucket, and its options as object metadata.

    `tag`, if any, is to be removed from each of the ids that the file holds.
    """

    path: Path
    bucket: str
    key: str
    metadata: dict[str, str]
    tag: str = ""


def upload(s3: "S3Client", what: Upload, progress: Callable[[int], object]) -> None:
    """Upload the file; `progress` is told the bytes of each part that went.

    Raises:
        UploadError: the job would refuse the file, or with a tag, a line is not one id; nothing was
            uploaded.
    """
    if what.tag:
        check_ids(what.path)
    else:
        check_file(what.path)
    with what.path.open("rb") as file:
        source: Any = TaggedIds(file, what.tag) if what.tag else file
        s3.upload_fileobj(
            source,
            what.bucket,
            what.key,
            ExtraArgs={"Metadata": what.metadata},
            Callback=progress,
        )


def check_file(path: Path) -> None:
    """Check the size of a file and the header of a CSV file, as the job checks them.

    Raises:
        UploadError: with the rule that is broken.
    """
    compressed = path.name.lower().endswith(".gz")
    fault = check_size(path.stat().st_size, compressed)
    if not fault and guess_format(path.name) == "csv":
        with path.open("rb") as file:
            pieces: Iterator[bytes] = iter(partial(file.read, PIECE_BYTES), b"")
            whole = unzip(pieces, MAX_UNCOMPRESSED_BYTES) if compressed else pieces
            found = read_columns(cut_lines(whole, 0, 1))
        fault = found if isinstance(found, Fault) else None
    if fault:
        at = f"line {fault.line}: " if fault.line else ""
        raise UploadError(f"{at}{fault.rule}; nothing was uploaded")


def check_ids(path: Path) -> None:
    """Check that the file holds at least one id, and at most one on each line.

    Raises:
        UploadError: naming the line and the rule.
    """
    with path.open("rb") as file:
        if not sum(1 for account in read_ids(file) if account):
            raise UploadError(f"{path} holds no ids: nothing was sent")


def read_ids(lines: Iterable[bytes]) -> Iterator[str]:
    """The id on each line; empty for a blank line, and for a header `To_Account` on the first.

    Raises:
        UploadError: a line is not one id in UTF-8.
    """
    for number, line in enumerate(lines, start=1):
        try:
            account = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UploadError(f"line {number:,} is not UTF-8: save the file as UTF-8") from None
        if number == 1 and account == HEADER:
            account = ""
        if rule := _broken_rule(account):
            raise UploadError(f"line {number:,} {rule}")
        yield account


def _broken_rule(account: str) -> str:
    held = [name for character, name in NOT_IN_IDS.items() if character in account]
    if held:
        return f"holds {held[0]}: with --tag, a line is one id; a file with columns goes without"
    if account != account.strip():
        return "begins or ends with a blank, which would name another user"
    if "\0" in account:
        return "holds a null character: save the file as UTF-8"
    return ""


class TaggedIds(io.RawIOBase):
    """A file of ids, read as JSON lines that name one tag for each."""

    def __init__(self, lines: Iterable[bytes], tag: str) -> None:
        self._lines = (_json_line(account, tag) for account in read_ids(lines))
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end; all that is left when `size` is negative."""
        parts = [self._rest]
        length = len(self._rest)
        while size < 0 or length < size:
            line = next(self._lines, b"")
            if not line:
                break
            parts.append(line)
            length += len(line)
        whole = b"".join(parts)
        end = len(whole) if size < 0 else size
        self._rest = whole[end:]
        return whole[:end]


def _json_line(account: str, tag: str) -> bytes:
    row = {"To_Account": account, "Tags": [tag]}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n" if account else b"\n"
