"""The tables that copy template and code are as `make docs` writes them."""

import pytest

from documents.__main__ import main
from documents.regions import documents, names, renew
from documents.tables import table, tables

OPEN, END = "<!-- table: one; written by make docs -->\n", "<!-- end of table -->"


def test_no_document_is_out_of_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_each_table_is_in_one_document() -> None:
    found = [name for path in documents() for name in names(path.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(tables())


def test_rights_hold_the_policies_beside_the_roles() -> None:
    shown = tables()["rights"]
    assert all(f"| `JobsStateMachine` | `{sid}` |" in shown for sid in ("StartMaps", "FollowMaps"))


def test_a_region_is_written_and_the_rest_is_kept() -> None:
    text = f"before\n{OPEN}| old |\n{END}\nafter {OPEN}{END}"
    written = renew(text, {"one": "| new |"})
    assert written == f"before\n{OPEN}| new |\n{END}\nafter {OPEN}| new |\n{END}"
    assert renew(written, {"one": "| new |"}) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OPEN, "without its partner"),
        (END, "without its partner"),
        (OPEN.replace("written by", "by") + END, "without its partner"),
        (OPEN + OPEN + END, "without its partner"),
        (OPEN.replace("one", "another") + END, "no such table: another"),
    ],
)
def test_a_wrong_mark_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        renew(text, {"one": ""})


def test_a_table_has_a_space_in_each_empty_cell() -> None:
    rows = iter([("a", "", ""), ("", "b", "c")])
    lines = ["| A | B | C |", "| --- | --- | --- |", "| a | | |", "| | b | c |"]
    assert table(("A", "B", "C"), rows) == "\n".join(lines)
