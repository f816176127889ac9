"""A file of users and tags -> rows, one at a time, each checked by the rules for messages.

CSV: a header with `To_Account` and either `Tags` (several, separated by a character) or `Tag` (the
whole cell is one tag); other columns are ignored. JSON lines: Tencent's own object a line,
`{"To_Account": "user-1", "Tags": ["gold"]}`. Both in UTF-8. Rows of one account that follow each
other become one.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from timpush.errors import MalformedMessageError
from timpush.messages import UserTags, check_user, parse_user
from timpush.queue.split import MAX_ROW_TAGS

Format = Literal["csv", "jsonl"]
SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
MAX_ACCOUNT = 50_000
"""Characters; with 1,000 tags, the row still fits a message of 1 MiB, whatever they are."""
HEADER = "must be a header with To_Account and Tags (or Tag), separated by commas, in UTF-8"
BLANKS = "must not begin or end with a blank in CSV; JSON lines can say such a value"


class Row(NamedTuple):
    """A user and where the file names it: the first and the last line, counted from 1."""

    first: int
    last: int
    account: str
    tags: list[str]

    @property
    def users(self) -> int:
        """As how many users of messages it counts: more than 1,000 tags are several."""
        return -(-len(self.tags) // MAX_ROW_TAGS)


class Fault(NamedTuple):
    """A rule that a line breaks; `place` is a JSON pointer into the row, or empty."""

    line: int
    place: str
    rule: str


Parsed = Iterator[Row | Fault]


def read_rows(
    path: Path, file_format: Format, separator: str, position: Callable[[int], object] = int
) -> Parsed:
    """Read a file row by row; `position` is told, now and then, how many bytes were read."""
    with path.open("rb") as file:
        lines = _lines(file, position)
        parsed = _read_csv(lines, separator) if file_format == "csv" else _read_json_lines(lines)
        yield from _merge(parsed)


def _lines(file: BinaryIO, position: Callable[[int], object]) -> Iterator[str]:
    """The lines as text. A byte that is no UTF-8 becomes what the rules for messages refuse."""
    read = 0
    for number, line in enumerate(file):
        read += len(line)
        if number % 1_000 == 0:
            position(read)
        text = line.decode("utf-8", "surrogateescape")
        yield text.removeprefix("\ufeff") if number == 0 else text
    position(read)


def _read_json_lines(lines: Iterable[str]) -> Parsed:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield from _check(number, number, _parse_line, line)


def _parse_line(line: str) -> UserTags:
    user = parse_user(line)
    if '"NotAfter"' in line and "NotAfter" in json.loads(line):
        rule = "is not read from a line: it would be ignored silently; use --not-after"
        raise MalformedMessageError([("/NotAfter", rule)])
    return user


def _read_csv(lines: Iterable[str], separator: str) -> Parsed:
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Fault(first, "", f"must be CSV: {error}")
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            if not _is_header(header):
                yield Fault(first, "", f"{HEADER}; is {','.join(cells)[:60]!r}")
                return
        elif cells:
            yield from _read_cells(first, reader.line_num, header, cells, separator)
    if header is None:
        yield Fault(1, "", HEADER)


def _is_header(names: list[str]) -> bool:
    return names.count("To_Account") == 1 and names.count("Tags") + names.count("Tag") == 1


def _read_cells(
    first: int, last: int, header: list[str], cells: list[str], separator: str
) -> Parsed:
    if len(cells) != len(header):
        yield Fault(first, "", f"must have {len(header)} cells like the header, has {len(cells)}")
        return
    cell = dict(zip(header, cells, strict=True))
    tags = [cell["Tag"]] if "Tag" in cell else cell["Tags"].split(separator)
    blank = list(_find_blanks(cell["To_Account"], tags))
    if blank:
        yield from (Fault(first, place, BLANKS) for place in blank)
        return
    user = {"To_Account": cell["To_Account"], "Tags": tags}
    yield from _check(first, last, check_user, user)


def _find_blanks(account: str, tags: list[str]) -> Iterator[str]:
    """The places of values that are most likely not meant as they stand."""
    if account != account.strip():
        yield "/To_Account"
    yield from (f"/Tags/{index}" for index, tag in enumerate(tags) if tag != tag.strip())


def _check(first: int, last: int, parse: Callable[[Any], UserTags], value: Any) -> Parsed:
    try:
        account, tags = parse(value)
    except MalformedMessageError as error:
        for place, rule in error.faults:
            yield Fault(first, place, rule)
        return
    if len(account) > MAX_ACCOUNT:
        yield Fault(first, "/To_Account", f"must be at most {MAX_ACCOUNT:,} characters")
        return
    yield Row(first, last, account, tags)


def _merge(parsed: Parsed) -> Parsed:
    """Rows of one account that follow each other become one, up to 1,000 tags."""
    held: Row | None = None
    for found in parsed:
        if held and isinstance(found, Row) and found.account == held.account:
            tags = list(dict.fromkeys(held.tags + found.tags))
            if len(tags) <= MAX_ROW_TAGS:
                held = Row(held.first, found.last, held.account, tags)
                continue
        if isinstance(found, Fault):
            yield found
            continue
        if held:
            yield held
        held = found
    if held:
        yield held


def guess_format(path: Path) -> Format | None:
    """The format that the file's name tells, if any."""
    return SUFFIXES.get(path.suffix.lower())
