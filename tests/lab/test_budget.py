"""The budget run, bounded: its invariants hold and its table is printed. No speed is asserted."""

import pytest

from reliability import budget


@pytest.mark.slow
def test_starts_stay_within_the_budget_and_every_user_is_removed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A share of 22 calls a second in each of 4 processes: 88 of 90.
    arguments = "--budget 90 --latency 0.05 --messages 60 --seconds 4 --jobs"
    code = budget.main(arguments.split())
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert code == 0, printed
    assert "\n".join(lines[:2]) == budget.HEAD
    for row in lines[2:4]:
        assert 0 < int(row.split("|")[6]) <= 90
    users = 2 * 4 * 60 * 100
    assert lines[-1] == (
        f"users acknowledged {users:,}, whose tag is still there 0, "
        "messages of a job without a record 0"
    )


@pytest.mark.parametrize(
    ("moments", "most"),
    [
        ([], 0),
        ([1.0], 1),
        ([1.0, 1.5, 1.999], 3),
        ([1.0, 1.5, 2.0], 2),
        ([0.0, 0.9, 1.0, 1.1, 1.8, 5.0], 4),
    ],
)
def test_the_fullest_second_is_found_wherever_it_begins(moments: list[float], most: int) -> None:
    assert budget.most_in_a_second(moments) == most


def test_the_table_tells_latency_in_milliseconds_and_the_part_of_the_budget_used() -> None:
    case = budget.Case(budget=80, latency=0.3)
    result = budget.Result(case, 76.0, 7_600.0, 79, 80, 1, 1_000, 0)
    assert budget.line(result) == "| 80 | 300 | 76.0 | 95.0 | 7,600 | 79 | 80 | 1 |"
    assert budget.line(result).count("|") == budget.HEAD.splitlines()[0].count("|")


@pytest.mark.parametrize(
    ("most_starts", "in_vain", "unrecorded", "held"),
    [(80, 0, 0, True), (81, 0, 0, False), (80, 1, 0, False), (80, 0, 1, False)],
)
def test_too_many_starts_or_a_user_acknowledged_without_cause_is_a_fault(
    most_starts: int, in_vain: int, unrecorded: int, held: bool
) -> None:
    case = budget.Case(budget=80, latency=0.3)
    result = budget.Result(case, 76.0, 7_600.0, most_starts, 80, 0, 1_000, in_vain, unrecorded)
    assert result.held == held


@pytest.mark.parametrize(
    ("calls_a_second", "seconds"), [(100, 10.0), (90, 1_000 / 22 / 4), (60, 1_000 / 15 / 4)]
)
def test_a_quarter_of_a_batch_is_measured(calls_a_second: int, seconds: float) -> None:
    assert budget.Case(calls_a_second, 0.1).measured_seconds == seconds
