"""Lines of a file -> users and tags, each checked by the rules for messages.

CSV: a header with `To_Account` and either `Tags` (several, separated by a character) or `Tag` (the
whole cell is one tag), and no other column. A row is one line: a quoted cell holds no line end, so
that a file can be cut into byte ranges at any line. JSON lines: Tencent's own object a line,
`{"To_Account": "user-1", "Tags": ["gold"]}`. Both in UTF-8, with or without a byte order mark, with
lines ended by LF or CRLF. Blank lines are skipped.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from timpush.errors import MalformedMessageError
from timpush.jobs.lines import MAX_LINE_BYTES, GzipError
from timpush.jobs.ranges import MAX_FILE_BYTES, MAX_GZIP_BYTES
from timpush.messages import MAX_TAG_BYTES, UserTags, check_user, parse_user

Format = Literal["csv", "jsonl"]
SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
MAX_ACCOUNT = 50_000
"""Characters; with 1,000 tags, the row still fits a message of 1 MiB, whatever they are."""
MAX_TAGS = 1_000
COLUMNS = frozenset({"To_Account", "Tags", "Tag"})
HEADER = "must be a header with To_Account and Tags (or Tag), separated by commas"
WRONG_SEPARATORS = {";": "semicolons", "\t": "tabs"}
SAVE = "save the file as UTF-8"
BLANKS = "must not begin or end with a blank in CSV; JSON lines can say such a value"
TOO_LONG = f"must be at most {MAX_LINE_BYTES:,} bytes"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Columns(NamedTuple):
    """Where a CSV row has its account and its tags; `one_tag`: the cell of tags is a single one."""

    account: int
    tags: int
    one_tag: bool


class Row(NamedTuple):
    """A user and the line that names it."""

    line: int
    account: str
    tags: list[str]


class Fault(NamedTuple):
    """A rule that a line breaks. `rule` begins with a JSON pointer into the row, if it has one."""

    line: int
    rule: str


class Rules(NamedTuple):
    """How a file is read; `columns` are those of a CSV file."""

    file_format: Format
    separator: str = "|"
    columns: Columns | None = None


def guess_format(name: str) -> Format | None:
    """The format that a file's name tells, if any; `.gz` at its end says nothing."""
    plain = name.lower().removesuffix(".gz")
    return next((SUFFIXES[suffix] for suffix in SUFFIXES if plain.endswith(suffix)), None)


def check_size(size: int, compressed: bool) -> Fault | None:
    """The rule that a file's size in bytes breaks, if any; line 0: no line is to blame."""
    if not size:
        return Fault(1, "the file is empty: it must hold users")
    limit = MAX_GZIP_BYTES if compressed else MAX_FILE_BYTES
    if size > limit:
        advice = "upload it uncompressed" if compressed else "cut it into several"
        return Fault(0, f"the file must be at most {limit:,} bytes, is {size:,}: {advice}")
    return None


def read_columns(lines: Iterator[bytes]) -> Columns | Fault:
    """The columns of a CSV file, by its first line."""
    try:
        return read_header(next(lines, b""))
    except GzipError as error:
        return Fault(1, str(error))


def read_header(line: bytes) -> Columns | Fault:
    """Read the first line of a CSV file."""
    if len(line) > MAX_LINE_BYTES:
        return Fault(1, TOO_LONG)
    try:
        names = [name.strip() for name in _split(line.removeprefix(BYTE_ORDER_MARK).decode())]
    except UnicodeDecodeError:
        return Fault(1, f"{HEADER}; it is not UTF-8: {SAVE}")
    except csv.Error as error:
        return Fault(1, f"{HEADER}; it is not CSV: {error}")
    wrong = _find_wrong_name(names)
    if wrong:
        return Fault(1, _advise(f"{HEADER}; {wrong}", line.decode()))
    one_tag = "Tag" in names
    return Columns(names.index("To_Account"), names.index("Tag" if one_tag else "Tags"), one_tag)


def _find_wrong_name(names: list[str]) -> str:
    """What a header lacks, repeats, or has too much; empty: nothing."""
    shown = ",".join(names)[:60]
    for mark, words in WRONG_SEPARATORS.items():
        if len(names) == 1 and mark in names[0]:
            return f"its columns are separated by {words}: save the file with commas"
    near = {name.lower().replace(" ", "_"): name for name in names}
    for needed in (("To_Account",), ("Tags", "Tag")):
        found = sum(names.count(name) for name in needed)
        alike = [near[name.lower()] for name in needed if name.lower() in near]
        if not found:
            missing = f"{' or '.join(needed)} is missing; found"
            return f"{missing} {alike[0] if alike else shown or 'nothing'}"
        if found > 1:
            return f"{' and '.join(needed)} must be there once; found {shown}"
    unknown = [name for name in names if name not in COLUMNS]
    return f"unknown column {unknown[0][:60]!r}" if unknown else ""


def read_rows(lines: Iterable[bytes], rules: Rules, is_start: bool) -> Iterator[Row | Fault]:
    """Read the lines of one byte range; line numbers count from its first line, from 1.

    `is_start` says that these lines begin the file. A line has at most one fault here, the first.
    """
    read = _csv_reader(rules) if rules.file_format == "csv" else _read_json
    for number, raw in enumerate(lines, start=1):
        line = raw
        if is_start and number == 1:
            if rules.file_format == "csv":
                continue
            line = raw.removeprefix(BYTE_ORDER_MARK)
        if len(line) > MAX_LINE_BYTES:
            yield Fault(number, TOO_LONG)
        elif line and not line.isspace():
            text = line.decode("utf-8", "surrogateescape")
            found = read(text)
            if isinstance(found, str):
                yield Fault(number, _advise(found, text))
            else:
                yield Row(number, *found)


def _csv_reader(rules: Rules) -> Callable[[str], UserTags | str]:
    """A function from a line of CSV to its user, or to the rule that it breaks."""
    columns, separator = rules.columns, rules.separator
    assert columns is not None  # noqa: S101 - a CSV file is read only once its header was
    account_at, tags_at, one_tag = columns

    def read(line: str) -> UserTags | str:
        try:
            cells = _split(line)
        except csv.Error as error:
            return f"must be CSV, with each row on one line: {error}"
        if len(cells) != 2:
            return f"must have 2 cells like the header, has {len(cells)}"
        account = cells[account_at]
        tags = [cells[tags_at]] if one_tag else cells[tags_at].split(separator)
        if _is_plain(account, tags):
            return account, tags
        return _find_blank(account, tags) or _check(
            check_user, {"To_Account": account, "Tags": tags}
        )

    return read


def _split(line: str) -> list[str]:
    """The cells of a line of CSV; without quotes, its commas alone matter."""
    text = line.removesuffix("\n").removesuffix("\r")
    if '"' in text or "\r" in text:
        return next(csv.reader([text], strict=True))
    return text.split(",")


def _is_plain(account: str, tags: list[str]) -> bool:
    """Whether they break no rule, of values in ASCII: all others are looked at more closely."""
    if not account or len(account) > MAX_ACCOUNT or not account.isascii():
        return False
    if account.strip() != account or len(tags) > MAX_TAGS:
        return False
    for tag in tags:
        if not 0 < len(tag) <= MAX_TAG_BYTES or not tag.isascii() or tag.strip() != tag:
            return False
    return len(tags) == 1 or len(set(tags)) == len(tags)


def _find_blank(account: str, tags: list[str]) -> str:
    """The place of the first value that is most likely not meant as it stands, with the rule."""
    if account != account.strip():
        return f"/To_Account {BLANKS}"
    at = next((index for index, tag in enumerate(tags) if tag != tag.strip()), None)
    return "" if at is None else f"/Tags/{at} {BLANKS}"


def _read_json(line: str) -> UserTags | str:
    return _check(_parse_line, line)


def _parse_line(line: str) -> UserTags:
    user = parse_user(line)
    if '"NotAfter"' in line and "NotAfter" in json.loads(line):
        rule = "is not read from a line: it would be ignored silently; use the option not-after"
        raise MalformedMessageError([("/NotAfter", rule)])
    return user


def _check(parse: Callable[[Any], UserTags], value: Any) -> UserTags | str:
    try:
        account, tags = parse(value)
    except MalformedMessageError as error:
        return _say(*error.faults[0])
    if len(account) > MAX_ACCOUNT:
        return f"/To_Account must be at most {MAX_ACCOUNT:,} characters"
    if len(tags) > MAX_TAGS:
        return f"/Tags must be at most {MAX_TAGS:,} tags: put the others into another row"
    return account, tags


def _say(place: str, rule: str) -> str:
    """A fault in one line; the file's line is the only one that it names."""
    return f"{place} {ONE_LINE.sub('', rule)}".lstrip()


def _advise(rule: str, line: str) -> str:
    """The rule that a line breaks, and what to do if its encoding is the likely reason."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return f"{rule}: {SAVE}"
    return f"{rule}: {SAVE}" if "\0" in line else rule


ONE_LINE = re.compile(r"line 1 (?=column )")
"""Of a place that json names: each line of a file is a document of its own."""
