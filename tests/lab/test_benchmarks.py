"""The benchmarks: that each comparison still runs, bounded; and what is reckoned from it."""

import json
from pathlib import Path

import pytest

from benchmarks import (
    cold_path,
    cost,
    document,
    prices,
    processor_cost,
    profiling,
    tables,
    throughput,
)
from benchmarks.events import body_bytes, event, most_messages
from benchmarks.fleet import OURS, RATE_LIMIT
from benchmarks.plots import PLOTS, THEMES
from reliability.budget_worker import MAX_EVENT_BYTES
from reliability.runtime import emulator
from support.modules import run_module

SMOKE_SECONDS = 180


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a small run wrote."""
    if not emulator():
        pytest.skip("the SAM CLI brings no Runtime Interface Emulator for this machine")
    folder = tmp_path_factory.mktemp("benchmarks")
    done = run_module("benchmarks", "--smoke", "--output", folder, seconds=SMOKE_SECONDS)
    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.strip() == (folder / "benchmarks.md").read_text().strip()
    return folder


def rows(text: str, head: str) -> list[list[str]]:
    """The rows of the table whose head begins so, as cells."""
    lines = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert lines, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def number(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0].replace(",", ""))


@pytest.mark.slow
def test_every_way_is_compared_in_every_table(smoke: Path) -> None:
    text = (smoke / "benchmarks.md").read_text()
    rates = rows(text, "Way | Users a message | Latency, ms | Users a second")
    assert len(rates) == len(throughput.CASES) + 1
    assert all(number(row[3]) > 0 for row in rates)
    ours = rates[0]
    assert (ours[0], number(ours[5]), number(ours[6])) == ("this application", 10, 0)
    assert all(number(cell) > 0 for row in rows(text, "Messages of one user") for cell in row)
    assert all(number(cell) > 0 for row in rows(text, "Messages of 100 users") for cell in row)
    for head in ("Function | File", "Package", "Part", "Price of a"):
        assert rows(text, head)
    starts = rows(text, " | Emulator, ms")
    assert [row[0] for row in starts] == ["this application", "BatchProcessor", "the least"]
    assert all(number(row[1]) > 0 and number(row[3]) > 0 for row in starts)
    costs = rows(text, "Way | Users a message | Messages a batch")
    assert len(costs) == 4 * 3
    for row in costs:
        assert number(row[9]) == pytest.approx(sum(map(number, row[4:9])), abs=3e-4)


@pytest.mark.slow
def test_each_aim_is_judged(smoke: Path) -> None:
    aims = rows((smoke / "benchmarks.md").read_text(), "Aim | Measured | Met")
    assert {row[2] for row in aims} <= {"yes", "no"}
    assert len(aims) == 13


@pytest.mark.slow
def test_each_plot_is_there_for_light_and_dark_pages(smoke: Path) -> None:
    text = (smoke / "benchmarks.md").read_text()
    names = {f"{plot}-{theme.name}.svg" for plot in PLOTS for theme in THEMES}
    assert {path.name for path in (smoke / "benchmarks").iterdir()} == names
    assert all(f"benchmarks/{name}" in text for name in names)
    assert all("<dc:date>" not in (smoke / "benchmarks" / name).read_text() for name in names)


def test_a_small_run_is_not_written_into_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(["--smoke", "--write"])
    assert ended.value.code == 2
    assert "too little to be written" in capsys.readouterr().err


def test_an_event_is_as_lambda_gives_it_and_none_is_above_its_limit() -> None:
    records = json.loads(event(3, 2))["Records"]
    users = [user for one in records for user in json.loads(one["body"])["UserTags"]]
    assert len({one["messageId"] for one in records}) == 3
    assert len({user["To_Account"] for user in users}) == 6
    for number_of_users in (1, 100):
        most = most_messages(number_of_users)
        assert len(event(most, number_of_users)) <= MAX_EVENT_BYTES
        with pytest.raises(ValueError, match="bytes"):
            event(most + 1, number_of_users)


def test_a_line_through_costs_is_found_again() -> None:
    found = processor_cost.fit([(n, 0.002 + n * 20e-6) for n in (10, 100, 1_000, 8_500)])
    assert found.fixed == pytest.approx(0.002)
    assert found.per_user == pytest.approx(20e-6)


def test_only_calls_within_a_cell_count_and_refused_ones_are_in_vain() -> None:
    cell = throughput.Cell(OURS, 2, 0.1, first=10.0, last=12.0)
    taken = [["user-1", ["gold"]], ["user-2", ["gold"]]]
    received = [
        {"at": at, "code": code, "users": taken}
        for at, code in ((9.9, 0), (10.0, 0), (11.0, 60007), (11.9, 0), (12.0, 0))
    ]
    found = throughput.rate(cell, received)
    # 4 users in 2 seconds; 3 calls, 1 of them refused, for 2 messages
    assert (found.users_a_second, found.calls, found.refused) == (2.0, 1_500.0, 500.0)


def test_medians_are_taken_of_each_figure_apart() -> None:
    rates = [throughput.Rate(1, 9, 0), throughput.Rate(3, 1, 5), throughput.Rate(2, 4, 1)]
    assert throughput.medians(rates) == throughput.Rate(2, 4, 1)


def test_the_cost_of_a_million_users_is_that_of_its_terms() -> None:
    terms = cost.function_terms(1, cost.Duration(1_000, 0.5), memory_gb=0.5)
    # 100,000 requests each to send, to receive, to delete; 1,000 batches of 0.5 s and 0.5 GB
    assert terms.sqs == pytest.approx(300_000 * 0.40 / 1e6)
    assert terms.requests == pytest.approx(1_000 * 0.20 / 1e6)
    assert terms.gb_seconds == pytest.approx(250 * prices.GB_SECOND.dollars)
    assert terms.total == pytest.approx(terms.sqs + terms.requests + terms.gb_seconds)


def test_the_cost_of_a_pipe_is_that_of_each_message() -> None:
    terms = cost.pipe_terms(100)
    # 10,000 messages; ten of them are within 64 KiB
    assert 10 * body_bytes(100) < prices.CHUNK_BYTES
    assert terms.sqs == pytest.approx(3_000 * 0.40 / 1e6)
    assert terms.pipes == pytest.approx(10_000 * 0.40 / 1e6)
    assert terms.calls == pytest.approx(10_000 * 0.20 / 1e6)


@pytest.mark.parametrize(("size", "requests"), [(0, 1), (1, 1), (65_536, 1), (65_537, 2)])
def test_a_payload_counts_for_each_64_kib(size: int, requests: int) -> None:
    assert cost.chunks(size) == requests


def test_import_times_are_summed_by_package() -> None:
    account = "\n".join(
        [
            "import time: self [us] | cumulative | imported package",
            "import time:       100 |        300 |   botocore.session",
            "import time:       200 |        200 |     botocore",
            "import time:        50 |         50 | json.decoder",
            "{'a': 1} printed by the function | and more",
        ]
    )
    assert cold_path.by_package(account) == {"botocore": 300e-6, "standard library": 50e-6}


def test_a_profile_counts_the_function_on_top_and_leaves_out_what_is_done_once() -> None:
    invoke = "main (benchmarks/worker.py:70);invoke (benchmarks/worker.py:60)"
    read = f"{invoke};handle (app.py:1);read_batch (app.py:5)"
    stacks = "\n".join(
        [
            f"{read};parse (layers/timpush/timpush/messages.py:50) 30",
            f"{read};parse (layers/timpush/timpush/messages.py:51) 30",
            f"{invoke};make_worker (app.py:9);client (boto3/session.py:1) 500",
            "run (threading.py:1);_worker (concurrent/futures/thread.py:90);urlopen (u.py:7) 40",
            "main (benchmarks/worker.py:70);work (benchmarks/worker.py:50) 900",
        ]
    )
    found = profiling.summarize(stacks)
    assert found.samples == 100
    assert found.own == [("parse", "timpush/messages.py", 0.6), ("urlopen", "u.py", 0.4)]
    assert found.parts == [("read_batch", 0.6), ("threads that call", 0.4)]


@pytest.mark.parametrize(
    ("larger", "smaller", "text"),
    [
        (200, 2, "100 times less"),
        (3, 2, "less by a factor of 1.50"),
        (2, 3, "more by a factor of 1.50"),
    ],
)
def test_a_ratio_is_never_below_one(larger: float, smaller: float, text: str) -> None:
    assert document.times(larger, smaller, "less") == text


def test_a_table_has_its_figures_to_the_right() -> None:
    text = tables.table(("Way", "Users"), [("a", "1"), ("b", "2")])
    assert text == "| Way | Users |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"


def test_the_block_is_what_stands_between_its_marks_with_them() -> None:
    text = f"before {document.BEGIN}\nfigures\n{document.END} after"
    assert document.block(text) == f"{document.BEGIN}\nfigures\n{document.END}"
    for broken in ("none", text + text):
        with pytest.raises(ValueError, match="once"):
            document.block(broken)


def test_a_rate_limit_over_all_is_one_place() -> None:
    from benchmarks.plan import FULL

    assert throughput.environments(FULL)[RATE_LIMIT] == 1
    assert throughput.environments(FULL)[OURS] == 4
