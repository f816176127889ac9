"""`jobs`, `job` and `job stop`: what the table says, and when it is stopped."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from support.job_store import JobStore, job_store
from support.ops import Done, Operated, operated
from timpush.jobs.report import NOT_REMOVED_HEADER, to_csv
from timpush.jobs.state import Document, new_document, new_job_id, report_key
from timpush.jobs.table import read_job
from timpush_ops import follow, job_commands, reasons
from timpush_ops.follow import START_SECONDS, Follower, FollowError, Stall

Rows = list[tuple[str, str, str, str, int]]
STARTED = datetime(2026, 11, 25, 12, tzinfo=UTC)
ENDED = "2026-11-25T12:01:00Z"


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        boto3.setup_default_session()
        yield made


@pytest.fixture
def store(stack: Operated) -> Iterator[JobStore]:  # noqa: ARG001 - it sets the environment
    with job_store() as made:
        yield made


def run(stack: Operated, store: JobStore, *words: object) -> Done:
    return stack.run(*words, "--jobs-table", store.table.name)


def put_ended(store: JobStore, rows: Rows, **values: Any) -> Document:
    """Write a job that has ended, and its list of users that were not removed."""
    text = NOT_REMOVED_HEADER + to_csv(rows)
    key = report_key("job-1", "not-removed.csv")
    store.s3.put_object(Bucket=store.bucket, Key=key, Body=text.encode())
    end = {"State": "done", "EndedAt": ENDED, "Report": report_key("job-1", "report.json")}
    return store.put_job("job-1", **(end | values))


def show_ended(stack: Operated, store: JobStore, rows: Rows, **values: Any) -> Done:
    put_ended(store, rows, **values)
    return run(stack, store, "job", "job-1")


class TestList:
    def test_the_latest_come_first(self, stack: Operated, store: JobStore) -> None:
        for hour in (10, 12, 11):
            started = f"2026-11-25T{hour}:00:00Z"
            store.put_job(f"job-{hour}", State="done", StartedAt=started, EndedAt=ENDED)

        done = run(stack, store, "jobs")

        assert [line.split()[0] for line in done.output.splitlines()] == [
            "JOB",
            "job-12",
            "job-11",
            "job-10",
        ]

    def test_figures_stand_under_their_names(self, stack: Operated, store: JobStore) -> None:
        figures = {"Users": 1_234_567, "Removed": 1_234_566, "NotRemoved": 1}
        store.put_job("job-1", State="done", EndedAt=ENDED, **figures)

        done = run(stack, store, "jobs")

        heading, line = done.output.splitlines()
        for name, figure in (("USERS", "1,234,567"), ("NOT REMOVED", "1")):
            end = heading.index(name) + len(name)
            assert line[:end].endswith(f" {figure}")
        assert line.endswith("users.csv")

    def test_json_is_a_list_of_documents(self, stack: Operated, store: JobStore) -> None:
        document = store.put_job("job-1", State="failed", Reason="why", EndedAt=ENDED)
        done = run(stack, store, "jobs", "--output", "json")
        assert json.loads(done.stdout) == [document]

    def test_only_so_many_are_shown(self, stack: Operated, store: JobStore) -> None:
        for number in range(4):
            store.put_job(f"job-{number}", State="done", EndedAt=ENDED)
        done = run(stack, store, "jobs", "--limit", 2)
        assert len(done.output.splitlines()) == 1 + 2

    def test_no_jobs_is_no_fault(self, stack: Operated, store: JobStore) -> None:
        done = run(stack, store, "jobs")
        assert (done.code, "no jobs yet" in done.output) == (0, True)
        assert run(stack, store, "jobs", "--output", "json").stdout == "[]\n"


class TestShow:
    def test_json_is_the_document_that_the_table_holds(
        self, stack: Operated, store: JobStore
    ) -> None:
        document = store.put_job("job-1", State="done", EndedAt=ENDED, Users=2, Removed=2)
        done = run(stack, store, "job", "job-1", "--output", "json")
        assert (done.code, json.loads(done.stdout)) == (0, document)

    def test_a_job_that_has_ended_is_shown_with_its_report(
        self, stack: Operated, store: JobStore
    ) -> None:
        store.put_job(
            "job-1",
            State="done",
            EndedAt=ENDED,
            Users=2_000,
            Removed=1_999,
            NotRemoved=1,
            RequestedBy="Ann",
            Report="reports/job-1/report.json",
        )
        done = run(stack, store, "job", "job-1")
        assert done.code == 3
        assert "users         2,000" in done.output
        assert "not removed   1\n" in done.output
        assert "requested by  Ann" in done.output
        assert f"report        s3://{store.bucket}/reports/job-1/" in done.output

    def test_users_that_were_not_removed_stand_by_code_with_the_command_that_names_them(
        self, stack: Operated, store: JobStore
    ) -> None:
        not_removed = [
            ("user-1", "gold", "70107", "account not imported: said TIMPush", 2),
            ("user-1", "silver", "70107", "account not imported: said TIMPush", 2),
            ("user-2", "gold", "70107", "account not imported: said TIMPush", 3),
            ("用户", "a\nb", "Expired", "NotAfter had passed", 4),
        ]
        done = show_ended(stack, store, not_removed, Users=9, Removed=6, NotRemoved=3)
        assert done.code == 3
        assert (
            "not removed   3\n"
            "  70107       2  account not imported\n"
            "  Expired     1  NotAfter had passed\n"
        ) in done.output
        list_key = f"s3://{store.bucket}/reports/job-1/not-removed.csv"
        assert f"aws s3 cp {list_key} -\n" in done.output
        assert "faults.csv" not in done.output

    def test_a_list_too_long_is_read_in_part(
        self, store: JobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [(f"user-{line}", "two\nlines", "70107", "why", line) for line in range(100, 200)]
        size = len(NOT_REMOVED_HEADER + to_csv(rows[:50]))
        for end in range(size - 30, size - 1):
            monkeypatch.setattr(reasons, "READ_BYTES", end)
            read = reasons.read_reasons(store.s3, put_ended(store, rows, NotRemoved=100))
            assert read
            assert read.users == [("70107", 49, "account not imported")]
            assert not read.complete

    def test_a_report_that_may_not_be_read_hides_nothing_else(
        self, stack: Operated, store: JobStore
    ) -> None:
        report = "reports/job-1/report.json"
        store.put_job("job-1", State="done", EndedAt=ENDED, NotRemoved=1, Report=report)
        done = run(stack, store, "job", "job-1")
        assert (done.code, "not removed   1\n" in done.output) == (3, True)

    def test_a_dry_run_says_what_would_be_removed(self, stack: Operated, store: JobStore) -> None:
        options = {"dry-run": "true"}
        done = show_ended(stack, store, [], Users=3, NotRemoved=3, Options=options)
        assert (done.code, "would remove  3\n" in done.output) == (0, True)
        assert "not removed" not in done.output
        assert "done, dry run" in run(stack, store, "jobs").output

    def test_a_job_that_sent_nothing_says_so(self, stack: Operated, store: JobStore) -> None:
        unsent = [("user-1", "gold", "NotSent", "it was not sent", 2)]
        end = {"State": "failed", "Rows": 3, "FaultyRows": 2, "Users": 1, "NotRemoved": 1}
        done = show_ended(stack, store, unsent, **end)
        assert (done.code, "not sent      1\n" in done.output) == (4, True)
        assert "not removed " not in done.output
        assert f"aws s3 cp s3://{store.bucket}/reports/job-1/faults.csv -\n" in done.output

    def test_a_job_that_is_not_there_is_said_with_what_to_do(
        self, stack: Operated, store: JobStore
    ) -> None:
        done = run(stack, store, "job", "job-1")
        assert (done.code, "there is no job job-1. A new job appears" in done.output) == (1, True)

    def test_without_an_id_help_is_shown(self, stack: Operated) -> None:
        assert "Follow one job" in stack.run("job", "--help").output
        assert stack.run("job", "show").code == 2


class TestStop:
    def test_a_running_job_is_stopped(self, stack: Operated, store: JobStore) -> None:
        store.put_job("job-1", State="sending")

        done = run(stack, store, "job", "stop", "job-1", "--reason", "wrong file")

        assert (done.code, "job job-1 is stopped; its report follows" in done.output) == (0, True)
        stored = store.table.get("job-1", "job")
        assert stored
        assert (stored["State"], stored["Reason"]) == ("stopped", "wrong file")

    def test_json_is_the_job_as_it_is_then(self, stack: Operated, store: JobStore) -> None:
        store.put_job("job-1", State="sending")
        done = run(stack, store, "job", "stop", "job-1", "--output", "json")
        document = json.loads(done.stdout)
        assert (document["JobId"], document["State"]) == ("job-1", "stopped")

    def test_stopping_again_changes_nothing(self, stack: Operated, store: JobStore) -> None:
        store.put_job("job-1", State="stopped", Reason="first")
        done = run(stack, store, "job", "stop", "job-1")
        assert done.code == 0 or "add_item" in done.output
        stored = store.table.get("job-1", "job")
        assert stored
        assert stored["Reason"] == "first"

    def test_a_job_that_has_ended_stays_as_it_is(self, stack: Operated, store: JobStore) -> None:
        document = store.put_job("job-1", State="done", EndedAt=ENDED)
        done = run(stack, store, "job", "stop", "job-1")
        assert (done.code, "job job-1 has ended before: done" in done.output) == (1, True)
        assert read_job(store.table, "job-1") == document

    def test_a_job_that_is_not_there_is_said(self, stack: Operated, store: JobStore) -> None:
        done = run(stack, store, "job", "stop", "job-1")
        assert (done.code, "there is no job job-1" in done.output) == (1, True)


class Looks:
    """Documents one after the other, on a clock that only sleeping moves."""

    def __init__(self, *found: Document | None) -> None:
        self.found = list(found)
        self.now = 0.0

    def read(self, _job_id: str) -> Document | None:
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def follower(self) -> Follower:
        return Follower("job-1", self.read, lambda: self.now, self.sleep)


def document(**values: Any) -> Document:
    made = new_document(new_job_id(), "bucket", "key", STARTED)
    made.update(values)  # type: ignore[typeddict-item]
    return made


class TestFollower:
    def test_waits_for_the_job_and_then_to_its_end(self) -> None:
        begun, sending = document(), document(State="sending")
        stopped, ended = document(State="stopped"), document(State="stopped", EndedAt=ENDED)
        looks = Looks(None, None, begun, sending, stopped, ended)
        follower = looks.follower()

        first = follower.wait_for_start()

        assert list(follower.states(first)) == [begun, sending, stopped, ended]
        assert looks.now == 5

    def test_a_job_that_does_not_begin_is_said_with_what_to_look_at(self) -> None:
        looks = Looks(None)
        with pytest.raises(FollowError, match="has not begun after 90 s: look at the log"):
            looks.follower().wait_for_start()
        assert looks.now == START_SECONDS

    def test_a_job_that_is_gone_is_said(self) -> None:
        with pytest.raises(FollowError, match="no longer in the table"):
            list(Looks(None).follower().states(document()))


def stalls(*looks: tuple[float, Document]) -> list[float]:
    """The seconds at which these looks at a job find that it has stalled."""
    now = [0.0]
    stall = Stall(lambda: now[0])
    found = []
    for now[0], job in looks:
        if stall.begins(job):
            found.append(now[0])
    return found


class TestStall:
    def test_is_told_once_until_more_is_settled(self) -> None:
        waits, moves = (document(State="sending", Users=9, Settled=n) for n in (4, 5))
        looks = [(0, waits), (29, waits), (30, waits), (90, waits), (91, moves), (121, moves)]
        assert stalls(*looks) == [30, 121]

    @pytest.mark.parametrize(
        "values",
        [
            {"State": "checking", "Users": 9},
            {"State": "settling", "Users": 9, "Settled": 9},
            {"State": "stopped", "Users": 9},
        ],
    )
    def test_a_job_for_which_no_user_waits_does_not_stall(self, values: dict[str, Any]) -> None:
        assert stalls((0, document(**values)), (600, document(**values))) == []

    def test_is_shown_with_the_command_that_tells_why(
        self, stack: Operated, store: JobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow, "STALL_SECONDS", 0)
        monkeypatch.setattr(follow, "POLL_SECONDS", 0)
        waits = store.put_job("job-1", State="sending")
        ends = waits | {"State": "done", "EndedAt": ENDED}
        looks = iter([waits | {"Users": 9}, waits | {"Users": 9}, ends])
        monkeypatch.setattr(job_commands, "read_job", lambda *_: next(looks))
        done = run(stack, store, "job", "job-1", "--stack-name", "shop")
        assert done.output.count("the worker may be paused") == 1
        assert "./ops doctor --stack-name shop\n" in done.output
