"""Rows of a file: formats that are read, and the rule that each faulty line breaks."""

import gzip
from collections.abc import Iterator

import pytest

from timpush.jobs.lines import MAX_LINE_BYTES, GzipError, cut_lines, unzip
from timpush.jobs.rows import Columns, Fault, Row, Rules, guess_format, read_header, read_rows

CSV_HEADER = "To_Account,Tags\n"
A_X, B_X = (f'{{"To_Account":"{account}","Tags":["x"]}}' for account in "ab")


def read(text: str | bytes, file_format: str = "csv", separator: str = "|") -> list[Row | Fault]:
    """The rows of a whole file."""
    data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    lines = list(cut_lines([data], 0, len(data)))
    if file_format == "jsonl":
        return list(read_rows(lines, Rules("jsonl"), is_start=True))
    columns = read_header(lines[0] if lines else b"")
    if isinstance(columns, Fault):
        return [columns]
    return list(read_rows(lines, Rules("csv", separator, columns), is_start=True))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("To_Account,Tags\na,x|y\nb,x\n", [(2, "a", ["x", "y"]), (3, "b", ["x"])]),
        ("To_Account,Tag\na,x|y\na,y\n", [(2, "a", ["x|y"]), (3, "a", ["y"])]),
        ("Tags,To_Account\r\nx|y,a\r\n\r\nx,b", [(2, "a", ["x", "y"]), (4, "b", ["x"])]),
        ("\ufeffTo_Account,Tags\na,x\n", [(2, "a", ["x"])]),
        ('"To_Account","Tags"\n"a,b","x|y"\n', [(2, "a,b", ["x", "y"])]),
        ('To_Account,Tags\n"a""b",é|x\n', [(2, 'a"b', ["é", "x"])]),
        ("To_Account,Tags\na,x|x\n", [(2, "a", ["x"])]),
        (CSV_HEADER, []),
    ],
)
def test_rows_of_csv(text: str, rows: list[tuple[int, str, list[str]]]) -> None:
    assert read(text) == rows


def test_the_separator_can_be_chosen() -> None:
    assert read("To_Account,Tags\na,x;y|z\n", separator=";") == [(2, "a", ["x", "y|z"])]


@pytest.mark.parametrize(
    "text",
    [f"{A_X}\n\n{B_X}", f"{A_X}\r\n  \r\n{B_X}\r\n", f"\ufeff{A_X}\n \n{B_X}\n"],
)
def test_rows_of_json_lines(text: str) -> None:
    assert read(text, "jsonl") == [(1, "a", ["x"]), (3, "b", ["x"])]


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        (
            "To_Account;Tags\na;x\n",
            1,
            "separated by semicolons: save the file with commas",
        ),
        ("To_Account\tTags\na\tx\n", 1, "separated by tabs: save the file with commas"),
        ("", 1, "must be a header"),
        ("a,x\n", 1, "must be a header"),
        ("To_Account,Tag,Tags\na,x,y\n", 1, "must be a header"),
        ("To_Account,Tags,Id\na,x,1\n", 1, "unknown column 'Id'"),
        ("to_account,Tags\na,x\n", 1, "To_Account is missing; found to_account"),
        ("To Account,Tags\na,x\n", 1, "To_Account is missing; found To Account"),
        ("To_Account,tag\na,x\n", 1, "Tags or Tag is missing; found tag"),
        ("User,Tags\na,x\n", 1, "To_Account is missing; found User,Tags"),
        ("To_Account,Tag,Tags\na,x,y\n", 1, "Tags and Tag must be there once"),
        ("\n", 1, "To_Account is missing; found nothing"),
        ("To_Account,Tags\n".encode("utf-16"), 1, "it is not UTF-8: save the file as UTF-8"),
        ("To_Account,Tags\n".encode("utf-16-le"), 1, ": save the file as UTF-8"),
        ("To_Account,T\xe4gs\n".encode("latin-1"), 1, "it is not UTF-8: save the file as UTF-8"),
        (f"{CSV_HEADER}a,\xe4\n".encode("latin-1"), 2, "valid Unicode: save the file as UTF-8"),
        ('"To_Account,Tags\na,x\n', 1, "must be a header"),
        (f"{CSV_HEADER}a, x\n", 2, "/Tags/0 must not begin or end with a blank"),
        (f"{CSV_HEADER}a,x | y\n", 2, "/Tags/0 must not begin or end with a blank"),
        (f"{CSV_HEADER}a ,x\n", 2, "/To_Account must not begin or end with a blank"),
        (f"{CSV_HEADER}a,x,y\n", 2, "must have 2 cells like the header, has 3"),
        (f"{CSV_HEADER}a\n", 2, "must have 2 cells like the header, has 1"),
        (f"{CSV_HEADER},x\n", 2, "/To_Account must be a non-empty string"),
        (f"{CSV_HEADER}b,x\na,\n", 3, "/Tags/0 must be a non-empty string"),
        (f"{CSV_HEADER}a,x||y\n", 2, "/Tags/1 must be a non-empty string"),
        (f"{CSV_HEADER}a,{'é' * 26}\n", 2, "/Tags/0 must be at most 50 bytes"),
        (f"{CSV_HEADER}a,\udcff\n", 2, "/Tags/0 must be valid Unicode"),
        (f"{CSV_HEADER}\udcff,x\n", 2, "/To_Account must be valid Unicode"),
        (f'{CSV_HEADER}a,x\n"b,x\n', 3, "must be CSV, with each row on one line"),
        (f'{CSV_HEADER}"a\nb",x\n', 2, "must be CSV, with each row on one line"),
        (f"{CSV_HEADER}a\rb,x\n", 2, "must be CSV"),
        (f"{CSV_HEADER}{'a' * 50_001},x\n", 2, "/To_Account must be at most 50,000"),
        (f"{CSV_HEADER}a,{'|'.join(map(str, range(1_001)))}\n", 2, "/Tags must be at most 1,000"),
        (f"{CSV_HEADER}a,{'x' * MAX_LINE_BYTES}\n", 2, "must be at most 1,048,576 bytes"),
    ],
)
def test_the_first_fault_of_csv_is_named(text: str | bytes, line: int, rule: str) -> None:
    found = next(one for one in read(text) if isinstance(one, Fault))
    assert (found.line, found.rule[: len(rule)]) == (line, rule) or rule in found.rule


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ('{"To_Account":"a","Tags":"x"}', 1, "/Tags must be a non-empty array"),
        ('\n["a"]\n', 2, "must be an object"),
        ('{"To_Account":"a"\n', 1, "must be JSON"),
        (f"{A_X}\n{A_X[:-1]}", 2, "must be JSON: Expecting ',' delimiter: column "),
        (A_X.encode("utf-16"), 1, ": save the file as UTF-8"),
        (A_X.replace("x", "\xe4").encode("latin-1"), 1, "valid Unicode: save the file as UTF-8"),
        (f"{A_X},{B_X}", 1, "must be JSON"),
        (A_X.replace("}", ',"Tags":["y"]}'), 1, "must not hold a key twice"),
        (A_X.replace("}", ',"NotAfter":1}'), 1, "/NotAfter is not read"),
    ],
)
def test_the_first_fault_of_json_lines_is_named(text: str | bytes, line: int, rule: str) -> None:
    found = next(one for one in read(text, "jsonl") if isinstance(one, Fault))
    assert found.line == line
    assert rule in found.rule
    assert "line 1 column" not in found.rule


def test_a_line_is_one_row_or_one_fault() -> None:
    found = read(f"{CSV_HEADER}a,x\n,\nb,y\n")
    assert [type(one) for one in found] == [Row, Fault, Row]


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("a.csv", "csv"),
        ("A.CSV.GZ", "csv"),
        ("a.ndjson", "jsonl"),
        ("a.jsonl.gz", "jsonl"),
        ("a.txt", None),
        ("csv", None),
    ],
)
def test_the_format_is_that_of_the_name(name: str, file_format: str | None) -> None:
    assert guess_format(name) == file_format


def test_columns_are_found() -> None:
    assert read_header(b"Tag,To_Account\r\n") == Columns(1, 0, one_tag=True)


class TestGzip:
    data = b"To_Account,Tags\n" + b"".join(b"user-%d,gold\n" % n for n in range(1_000))

    def pieces(self, packed: bytes, size: int = 100) -> Iterator[bytes]:
        return (packed[start : start + size] for start in range(0, len(packed), size))

    @pytest.mark.parametrize("size", [1, 7, 100_000])
    def test_any_pieces_of_one_or_more_members_are_read(self, size: int) -> None:
        packed = gzip.compress(self.data[:5_000]) + gzip.compress(self.data[5_000:])
        assert b"".join(unzip(self.pieces(packed, size), 1_000_000)) == self.data

    @pytest.mark.parametrize(
        "packed",
        [
            gzip.compress(data, mtime=0)[:-1],
            gzip.compress(data, mtime=0)[:200],
            gzip.compress(data, mtime=0) + b"rest",
            data,
            b"",
        ],
    )
    def test_what_is_no_whole_gzip_is_refused(self, packed: bytes) -> None:
        with pytest.raises(GzipError, match="must be a whole gzip file"):
            list(unzip(self.pieces(packed), 1_000_000))

    def test_what_holds_too_much_is_refused(self) -> None:
        with pytest.raises(GzipError, match=r"at most 1,000 bytes: upload it uncompressed"):
            list(unzip(self.pieces(gzip.compress(self.data)), 1_000))
