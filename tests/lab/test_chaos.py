"""The chaos run, bounded, and that it would find what must not be."""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from reliability import chaos, chaos_job
from reliability.chaos_job_file import JobFile, make_file
from reliability.chaos_work import KEPT, TAG, Tag, Work, make_work
from reliability.event_source import kept


@pytest.mark.slow
def test_nothing_is_falsely_acknowledged_or_lost_whatever_goes_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = chaos.main(["--users", "2000", "--seed", "7"])
    printed = capsys.readouterr()
    rows = dict(line.rsplit("  ", 1) for line in printed.out.splitlines() if "  " in line)
    values = {name.strip(): value for name, value in rows.items()}
    assert code == 0, printed.out + printed.err
    assert values["falsely acknowledged messages"] == "0"
    assert values["lost messages"] == "0"
    assert values["users whose tags were removed"] == "2,000"
    assert values["workers killed in mid-batch"] == "2"
    assert values["every user accounted for"] == "yes"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_report_of_a_job_is_exact_whatever_goes_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = chaos_job.main(["--users", "2000", "--seed", "7"])
    printed = capsys.readouterr()
    rows = dict(line.rsplit("  ", 1) for line in printed.out.splitlines() if "  " in line)
    values = {name.strip(): value.strip() for name, value in rows.items()}
    assert code == 0, printed.out + printed.err
    assert values["report exact"] == "yes"
    assert (values["rows"], values["faulty rows"], values["users"]) == ("2,007", "7", "2,000")
    assert (values["removed"], values["not removed"]) == ("1,995", "5")
    assert int(values["workers killed in mid-batch"]) > 0
    assert int(values["writes throttled"]) > 0
    assert int(values["messages delivered again"]) >= int(values["messages"])


def test_the_same_seed_makes_the_same_work() -> None:
    first, second = (make_work(3_000, random.Random(5)) for _ in range(2))
    assert first == second
    assert first != make_work(3_000, random.Random(6))


def test_every_user_is_in_some_message_and_every_kind_of_trouble_is_there() -> None:
    work = make_work(10_000, random.Random(1))
    named = {account for wanted in work.wanted for account, _ in wanted}
    assert named >= {account for account in work.tags if account.startswith("user-")}
    assert set(work.dead_letters.values()) == {"70107", "90034", "Expired"}
    assert sum(not wanted for wanted in work.wanted) > 1


# What the verdict would find


def small() -> tuple[Work, chaos.Run]:
    """Two messages, each of one user; both were deleted at 10.0."""
    work = Work(tags={"a": {TAG, KEPT}, "b": {TAG, KEPT}})
    work.send({"a": [TAG]})
    work.send({"b": [TAG]})
    unused = cast(Any, None)
    run = chaos.Run(work, random.Random(1), "", unused, unused, "", "", unused, unused)
    run.message_ids = {0: "m0", 1: "m1"}
    run.ledger.deleted_at.update({"m0": [10.0], "m1": [10.0]})
    return work, run


@pytest.mark.parametrize(
    ("removed_at", "dead_letters", "found"),
    [
        ({("a", TAG): 9.0, ("b", TAG): 9.5}, {}, []),
        ({("a", TAG): 9.0}, {}, [1]),
        ({("a", TAG): 9.0, ("b", TAG): 10.5}, {}, [1]),  # removed, but after the deletion
        ({("a", TAG): 9.0}, {"m1": {("b", TAG)}}, []),
        ({("a", TAG): 9.0}, {"m0": {("b", TAG)}}, [1]),  # dead-lettered for another message
    ],
)
def test_a_deletion_before_its_cause_is_found(
    removed_at: dict[Tag, float], dead_letters: dict[str, set[Tag]], found: list[int]
) -> None:
    _, run = small()
    assert chaos.falsely_acknowledged(run, removed_at, dead_letters) == found


def test_a_malformed_message_that_was_deleted_without_a_dead_letter_is_found() -> None:
    work, run = small()
    work.bodies.append("not JSON")
    work.wanted.append(set())
    run.message_ids[2] = "m2"
    run.ledger.deleted_at["m2"] = [10.0]
    removed = {("a", TAG): 9.0, ("b", TAG): 9.0}
    assert chaos.falsely_acknowledged(run, removed, {}) == [2]
    assert chaos.falsely_acknowledged(run, removed, {"m2": set()}) == []


def test_only_a_reply_that_came_and_named_no_fault_proves_a_removal() -> None:
    def call(at: float, code: int | None, account: str) -> dict[str, Any]:
        return {
            "at": at,
            "code": code,
            "path": "/v4/timpush/remove_tag",
            "users": [[account, [TAG]]],
        }

    calls = [call(1, None, "a"), call(2, 91000, "a"), call(3, 0, "a"), call(4, 0, "unknown")]
    assert chaos.first_removals(calls, {"a"}) == {("a", TAG): 3}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda store: store["a"].add(TAG),
        lambda store: store["b"].discard(KEPT),
        lambda store: store.pop("a"),
    ],
)
def test_a_user_whose_tags_are_not_as_they_must_be_is_found(
    spoil: Callable[[dict[str, set[str]]], None],
) -> None:
    work, _ = small()
    store = {"a": {KEPT}, "b": {KEPT}}
    assert chaos.unaccounted(work, store, []) == []
    spoil(store)
    assert len(chaos.unaccounted(work, store, [])) == 1


# What the verdict on a job would find


def reported(file: JobFile) -> tuple[dict[str, Any], list[dict[str, str]], list[dict[str, str]]]:
    """The report that a file must have: its figures, and its two lists."""
    left = file.users_not_removed
    figures = {"State": "done", "Rows": file.users + len(file.faulty), "Users": file.users}
    figures |= {"FaultyRows": len(file.faulty), "Removed": file.users - left, "NotRemoved": left}
    figures |= {"Settled": file.users, "Sha256": hashlib.sha256(file.text).hexdigest()}
    names = ("To_Account", "Tag", "ErrorCode", "Line")
    not_removed = [
        dict(zip(names, map(str, row), strict=True)) | {"Reason": "why"} for row in file.not_removed
    ]
    return figures, not_removed, [{"Line": str(one), "Rule": "why"} for one in file.faulty]


def test_a_report_as_it_must_be_has_no_faults() -> None:
    file = make_file(3_000, random.Random(3))
    figures, not_removed, faulty = reported(file)
    assert chaos_job.wrong_figures(file, figures) == []
    assert chaos_job.wrong_lists(file, not_removed, faulty) == []
    assert chaos_job.wrong_store(file, file.left) == []
    assert {row.code for row in file.not_removed} == {"70107", "90034"}
    assert len(file.lines) == 1 + file.users + len(file.faulty)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lists: lists[0].pop(),
        lambda lists: lists[0].append(lists[0][0]),
        lambda lists: lists[0][0].update(ErrorCode="0"),
        lambda lists: lists[0][0].update(Reason=""),
        lambda lists: lists[0][0].update(Line="2"),
        lambda lists: lists[1].pop(),
        lambda lists: lists[1].append(lists[1][0]),
        lambda lists: lists[1][0].update(Rule=""),
    ],
)
def test_a_list_that_is_not_exact_is_found(spoil: Callable[[Sequence[list[Any]]], Any]) -> None:
    file = make_file(3_000, random.Random(3))
    lists = reported(file)[1:]
    spoil(lists)
    assert chaos_job.wrong_lists(file, *lists)


def test_a_figure_or_a_tag_that_is_not_exact_is_found() -> None:
    file = make_file(3_000, random.Random(3))
    figures = reported(file)[0]
    assert len(chaos_job.wrong_figures(file, figures | {"Removed": 1})) == 1
    store = {account: set(tags) for account, tags in file.left.items()}
    store["user-000010"].add(TAG)
    assert len(chaos_job.wrong_store(file, store)) == 1


# How a reply is read


@pytest.mark.parametrize(
    "reply", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}]
)
def test_a_reply_without_failures_lets_the_whole_batch_go(reply: Any) -> None:
    assert kept(reply, {"m0", "m1"}) == set()


def test_a_reply_keeps_the_messages_that_it_names() -> None:
    assert kept({"batchItemFailures": [{"itemIdentifier": "m1"}]}, {"m0", "m1"}) == {"m1"}


@pytest.mark.parametrize(
    "reply",
    [
        "Task timed out after 3.00 seconds",
        {"errorMessage": "x", "errorType": "ValueError"},
        {"batchItemFailures": "m0"},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": "m0"}, {"wrong": "m1"}]},
        {"batchItemFailures": [{"itemIdentifier": "another"}]},
        {"batchItemFailures": [{"itemIdentifier": ["m0"]}]},
        {"batchItemFailures": ["m0"]},
    ],
)
def test_an_error_or_a_reply_that_breaks_the_contract_keeps_the_whole_batch(reply: Any) -> None:
    assert kept(reply, {"m0", "m1"}) == {"m0", "m1"}
