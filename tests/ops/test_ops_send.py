"""`send`: a file of users onto the queue, checked whole first, with nothing lost by a crash."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.ops import SECONDS, Gate, Operated, operated, users_of
from timpush.queue.attributes import JOB_ID, JOB_USERS

Write = Callable[[str, str], Path]
HEADER = "To_Account,Tags\n"
A_X, A_Y, B_X = (
    f'{{"To_Account":"{account}","Tags":["{tag}"]}}' for account, tag in ("ax", "ay", "bx")
)


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        yield made


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        return path

    return write_file


def csv_of(users: int, first: int = 0) -> str:
    rows = "".join(f"user-{number},gold|silver\n" for number in range(first, first + users))
    return f"{HEADER}{rows}"


def users(number: int) -> dict[tuple[str, str], int]:
    return {(f"user-{n}", tag): 1 for n in range(number) for tag in ("gold", "silver")}


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.csv", "To_Account,Tags\na,x|y\nb,x\n"),
            ("one-tag-a-row.csv", "To_Account,Tag\na,x\na,y\nb,x\n"),
            ("other-columns.csv", "Id,Tags,To_Account\r\n7,x|y,a\r\n8,x,b\r\n"),
            ("byte-order-mark.csv", "\ufeffTo_Account,Tags\na,x|y\n\nb,x"),
            ("quoted.csv", '"To_Account","Tags"\n"a","x|y"\n"b","x"\n'),
            ("a.jsonl", f'{{"To_Account":"a","Tags":["x","y"],"More":1}}\n\n{B_X}'),
            ("a.ndjson", "".join(f"{user}\n" for user in (A_X, A_Y, B_X))),
        ],
    )
    def test_users_and_tags_are_read(
        self, stack: Operated, write: Write, name: str, text: str
    ) -> None:
        done = stack.send(write(name, text))

        assert (done.code, "sent 2 users in 1 messages" in done.output) == (0, True)
        assert users_of(stack.take()) == {("a", "x"): 1, ("a", "y"): 1, ("b", "x"): 1}

    def test_the_cell_of_a_tag_column_is_one_tag(self, stack: Operated, write: Write) -> None:
        stack.send(write("a.csv", "To_Account,Tag\na,x|y\n"))
        assert users_of(stack.take()) == {("a", "x|y"): 1}

    def test_the_separator_can_be_chosen(self, stack: Operated, write: Write) -> None:
        stack.send(write("a.csv", "To_Account,Tags\na,x;y|z\n"), "--tag-separator", ";")
        assert users_of(stack.take()) == {("a", "x"): 1, ("a", "y|z"): 1}

    def test_the_format_of_an_unknown_suffix_must_be_said(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("users.txt", "To_Account,Tags\na,x\n")
        assert stack.send(file).code == 2
        assert stack.send(file, "--format", "csv").code == 0


class TestCheck:
    @pytest.mark.parametrize(
        ("name", "text", "fault"),
        [
            ("a.csv", "To_Account;Tags\na;x\n", "1: must be a header"),
            (
                "a.csv",
                "To_Account;Tags\na;x\n",
                "1: must be a header with To_Account and Tags (or Tag), separated by commas",
            ),
            ("a.csv", "", "1: must be a header"),
            ("a.csv", f"{HEADER}a, x\n", "2: /Tags/0 must not begin or end with a blank"),
            ("a.csv", f"{HEADER}a,x | y\n", "2: /Tags/1 must not begin or end with a blank"),
            (
                "a.csv",
                f"{HEADER}a ,x\n",
                "2: /To_Account must not begin or end with a blank",
            ),
            ("a.csv", "To_Account,Tag,Tags\na,x,y\n", "1: must be a header"),
            ("a.csv", f"{HEADER}a,x,y\n", "2: must have 2 cells like the header, has 3"),
            ("a.csv", f"{HEADER},x\n", "2: /To_Account must be a non-empty string"),
            ("a.csv", f"{HEADER}b,x\na,\n", "3: /Tags/0 must be a non-empty string"),
            ("a.csv", f"{HEADER}a,x||y\n", "2: /Tags/1 must be a non-empty string"),
            ("a.csv", f'{HEADER}"a\nb",x\nc,\n', "4: /Tags/0 must be a non-empty string"),
            ("a.csv", f"{HEADER}a,{'é' * 26}\n", "2: /Tags/0 must be at most 50 bytes"),
            ("a.csv", f"{HEADER}a,\udcff\n", "2: /Tags/0 must be valid Unicode"),
            ("a.csv", f'{HEADER}a,x\n"b,x\n', "3: must be CSV"),
            ("a.csv", f"{HEADER}{'a' * 50_001},x\n", "2: /To_Account must be at most 50,000"),
            ("a.jsonl", '{"To_Account":"a","Tags":"x"}', "1: /Tags must be a non-empty array"),
            ("a.jsonl", '\n["a"]\n', "2: must be an object"),
            ("a.jsonl", '{"To_Account":"a"\n', "1: must be JSON"),
            ("a.jsonl", f"{A_X},{B_X}", "1: must be JSON"),
            ("a.jsonl", A_X.replace("}", ',"Tags":["y"]}'), "1: must not hold a key twice"),
            ("a.jsonl", A_X.replace("}", ',"NotAfter":1}'), "1: /NotAfter is not read"),
        ],
    )
    def test_a_fault_is_named_with_its_line_and_nothing_is_sent(
        self, stack: Operated, write: Write, name: str, text: str, fault: str
    ) -> None:
        file = write(name, text)

        done = stack.send(file)

        assert done.code == 1
        assert f"{file}:{fault}" in done.output
        assert "nothing was sent" in done.output
        assert stack.take() == []
        assert not file.with_name(f"{name}.journal").exists()

    def test_each_fault_of_the_whole_file_is_named(self, stack: Operated, write: Write) -> None:
        bad = "".join(f"user-{number},\n" for number in range(2_000))

        done = stack.send(write("a.csv", f"To_Account,Tags\n{bad}"))

        assert done.output.count("/Tags/0 must be a non-empty string") == 2_000
        assert "2,000 faulty lines: nothing was sent" in done.output

    def test_good_lines_are_sent_when_faulty_ones_are_to_be_skipped(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", "To_Account,Tags\na,x\nb,\nc,x\n")

        done = stack.send(file, "--skip-invalid")

        assert done.code == 0
        assert f"{file}:3: /Tags/0" in done.output
        assert "1 faulty lines are left out" in done.output
        assert users_of(stack.take()) == {("a", "x"): 1, ("c", "x"): 1}

    @pytest.mark.parametrize("text", ["To_Account,Tags\n", "To_Account,Tags\n,\n"])
    def test_a_file_without_users_is_a_fault(
        self, stack: Operated, write: Write, text: str
    ) -> None:
        done = stack.send(write("a.csv", text), "--skip-invalid")
        assert (done.code, "holds no users" in done.output) == (1, True)

    def test_a_dry_run_sends_nothing_and_leaves_no_journal(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", csv_of(250))

        done = stack.run("send", file, "--dry-run")

        assert done.code == 0
        assert "would send 250 users in 3 messages; nothing was sent" in done.output
        assert stack.take() == []
        assert list(file.parent.iterdir()) == [file]


class TestMessages:
    def test_each_holds_at_most_100_users_and_the_job(self, stack: Operated, write: Write) -> None:
        done = stack.send(write("a.csv", csv_of(2_345)), "--job", "spring-7")

        messages = stack.take()
        assert "job spring-7: sent 2,345 users in 24 messages" in done.output
        assert max(len(json.loads(body)["UserTags"]) for body, _ in messages) == 100
        assert users_of(messages) == users(2_345)
        attributes = {JOB_ID: "spring-7", JOB_USERS: "2345"}
        assert [found for _, found in messages] == [attributes] * 24

    def test_a_new_job_gets_an_id_of_its_own(self, stack: Operated, write: Write) -> None:
        for name in ("a.csv", "b.csv"):
            stack.send(write(name, csv_of(1)))
        assert len({attributes[JOB_ID] for _, attributes in stack.take()}) == 2

    @pytest.mark.parametrize("job", ["two words", "x" * 101, 'a"b', ""])
    def test_a_job_id_is_plain(self, stack: Operated, write: Write, job: str) -> None:
        done = stack.send(write("a.csv", csv_of(1)), "--job", job)
        assert done.code == (2 if job else 0)

    def test_a_tenant_goes_with_each(self, stack: Operated, write: Write) -> None:
        stack.send(write("a.csv", csv_of(150)), "--message-group-id", "spring")
        assert [found["MessageGroupId"] for _, found in stack.take()] == ["spring", "spring"]

    def test_so_does_the_time_after_which_it_is_too_late(
        self, stack: Operated, write: Write
    ) -> None:
        stack.send(write("a.csv", csv_of(1)), "--not-after", "2100-01-01T08:00:00+08:00")
        [(body, _)] = stack.take()
        assert json.loads(body)["NotAfter"] == 4_102_444_800

    @pytest.mark.parametrize("moment", ["soon", "1", "2100-01-01T00:00:00", "1800000000000"])
    def test_a_time_that_has_passed_or_says_no_zone_is_refused(
        self, stack: Operated, write: Write, moment: str
    ) -> None:
        assert stack.send(write("a.csv", csv_of(1)), "--not-after", moment).code == 2

    def test_a_user_of_very_many_tags_is_sent_whole(self, stack: Operated, write: Write) -> None:
        tags = [f"tag-{number}" for number in range(2_500)]
        line = json.dumps({"To_Account": "a", "Tags": tags})

        done = stack.send(write("a.jsonl", f"{line}\n"))

        messages = stack.take()
        assert users_of(messages) == {("a", tag): 1 for tag in tags}
        assert "sent 3 users" in done.output
        assert {attributes[JOB_USERS] for _, attributes in messages} == {"3"}


class TestGoingOn:
    def test_the_same_command_again_sends_nothing_twice(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", csv_of(1_500))
        first = stack.send(file)
        stack.take()

        again = stack.send(file)

        assert "sent nothing more; 1,500 users were sent before" in again.output
        assert stack.take() == []
        assert job_of(first.output) == job_of(again.output)

    def test_a_kill_in_mid_run_loses_nobody(self, stack: Operated, write: Write) -> None:
        # Given SQS that answers 4 batches, takes more, and says no word of those
        file = write("a.csv", csv_of(20_000))
        journal = file.with_name("a.csv.journal")
        command = ("send", file, "--queue-url", stack.queue_url)
        with (
            Gate(stack.aws_url, "SendMessageBatch", passes=4) as gate,
            stack.running(gate, *command) as process,
        ):
            assert gate.held.wait(SECONDS)
            await_lines(journal, 1 + 4)
            # When it is killed
            assert process.poll() is None
            process.kill()
            process.wait(SECONDS)
        sent_before = users_of(stack.take())
        assert 4_000 * 2 < sum(sent_before.values()) < 20_000 * 2
        # And run again
        done = stack.send(file)
        # Then what was confirmed is not sent again, and everybody was sent
        assert done.code == 0
        assert "4,000 users were sent before" in done.output
        assert "sent 16,000 users in 160 messages" in done.output
        sent = sent_before + users_of(stack.take())
        assert sent.keys() == users(20_000).keys()
        assert set(sent.values()) == {1, 2}

    def test_a_line_that_a_killed_run_left_unfinished_does_not_count(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", csv_of(3_000))
        journal = file.with_name("a.csv.journal")
        stack.send(file)
        stack.take()
        header, *lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(header + lines[0] + lines[1][:-4])

        done = stack.send(file)

        assert done.code == 0
        assert sum(users_of(stack.take()).values()) == 2_000 * 2

    def test_a_journal_without_a_whole_line_is_begun_anew(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", csv_of(10))
        file.with_name("a.csv.journal").write_text('{"job": "x', encoding="utf-8")
        assert "sent 10 users" in stack.send(file).output

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            (["--message-group-id", "other"], "message-group-id"),
            (["--not-after", "4102444800"], "not-after"),
            (["--tag-separator", ";"], "separator"),
            (["--job", "other"], "job"),
        ],
    )
    def test_another_way_of_sending_the_file_is_refused(
        self, stack: Operated, write: Write, options: list[str], name: str
    ) -> None:
        file = write("a.csv", csv_of(10))
        stack.send(file)
        stack.take()

        done = stack.send(file, *options)

        assert (done.code, f"with another {name}:" in done.output) == (1, True)
        assert stack.take() == []

    def test_so_is_a_file_that_has_changed(self, stack: Operated, write: Write) -> None:
        stack.send(write("a.csv", csv_of(10)))
        stack.take()

        done = stack.send(write("a.csv", csv_of(11)))

        assert (done.code, "the file has changed since job" in done.output) == (1, True)
        assert stack.take() == []

    def test_a_run_that_sent_nothing_binds_nobody(self, stack: Operated, write: Write) -> None:
        # Given a run to a queue that is not there, because of a slip
        file = write("a.csv", csv_of(10))
        wrong = stack.run("send", file, "--queue-url", f"{stack.queue_url}-slip")
        assert wrong.code == 1
        # When the command is repeated with the right queue, then it sends
        assert "sent 10 users" in stack.send(file).output

    def test_a_new_job_can_be_begun(self, stack: Operated, write: Write) -> None:
        file = write("a.csv", csv_of(10))
        first = stack.send(file)

        again = stack.send(file, "--restart")

        assert "sent 10 users" in again.output
        assert job_of(first.output) != job_of(again.output)

    def test_a_file_that_is_no_journal_is_left_alone(self, stack: Operated, write: Write) -> None:
        file, other = write("a.csv", csv_of(10)), write("b.csv", csv_of(10))
        done = stack.send(file, "--journal", other)
        assert (done.code, "is no journal" in done.output) == (1, True)
        assert other.read_text(encoding="utf-8") == csv_of(10)

    def test_two_runs_at_a_time_are_refused(self, stack: Operated, write: Write) -> None:
        file = write("a.csv", csv_of(3_000))
        command = ("send", file, "--queue-url", stack.queue_url)
        with (
            Gate(stack.aws_url, "SendMessageBatch", passes=0) as gate,
            stack.running(gate, *command),
        ):
            assert gate.held.wait(SECONDS)

            done = stack.send(file)

        assert (done.code, "another run is sending this file" in done.output) == (1, True)


class TestFailures:
    def test_what_sqs_does_not_take_is_said_and_not_remembered(
        self, stack: Operated, write: Write
    ) -> None:
        file = write("a.csv", csv_of(10))

        done = stack.run("send", file, "--queue-url", f"{stack.queue_url}-gone", "--job", "j")

        assert done.code == 1
        assert "NonExistentQueue" in done.output
        assert "repeat the command to go on" in done.output
        assert len(file.with_name("a.csv.journal").read_bytes().splitlines()) == 1

    def test_a_stack_that_is_not_there_is_said(self, stack: Operated, write: Write) -> None:
        done = stack.run("send", write("a.csv", csv_of(1)), "--stack-name", "none")
        assert (done.code, "does not exist" in done.output) == (1, True)

    def test_neither_stack_nor_queue_is_wrong_usage(self, stack: Operated, write: Write) -> None:
        done = stack.run("send", write("a.csv", csv_of(1)))
        assert (done.code, "give --stack-name, or --queue-url" in done.output) == (2, True)


def job_of(output: str) -> str:
    return next(line.split()[1].rstrip(":") for line in output.splitlines() if "job " in line[:4])


def await_lines(path: Path, number: int) -> None:
    """Wait until a file has so many lines; asserts that it has exactly those."""
    until = time.monotonic() + SECONDS
    lines: list[Any] = []
    while len(lines) < number and time.monotonic() < until:
        lines = path.read_bytes().splitlines() if path.exists() else []
        time.sleep(0.02)
    assert len(lines) == number
