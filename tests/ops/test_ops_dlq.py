"""`dlq`: dead letters are listed and exported without loss, and sent back without loss."""

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ops import SECONDS, Gate, Operated, operated, users_of
from timpush.jobs.rows import Row, Rules, read_rows


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        yield made


def add_some(stack: Operated) -> None:
    """Users of two jobs and of none, for several codes; an expired one, a malformed message, and
    one that SQS moved."""
    stack.add_dead_letter_of(
        {"stranger-1": 70107, "stranger-2": 70107, "refused": 90034}, JobId="spring"
    )
    stack.add_dead_letter_of({"stranger-3": 70107}, JobId="autumn", RequestId="request-1")
    stack.add_dead_letter_of({"late": "Expired", "stranger-4": 70107}, JobId="spring")
    stack.add_dead_letter(
        "no JSON", SourceMessageId="s", ErrorCode="Malformed", Reason="malformed: why"
    )
    stack.add_dead_letter(
        {"UserTags": [{"To_Account": "crash", "Tags": ["gold"]}], "NotAfter": 4102444800}
    )


def rows_of(output: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(code, job) -> users, messages of what `dlq list` prints."""
    lines = [line.split() for line in output.splitlines()[1:-1]]
    return {(code, job): (int(users), int(found)) for code, users, found, job, *_ in lines}


def codes_of(messages: list[tuple[str, dict[str, str]]]) -> dict[str, list[int | str]]:
    """Account -> its codes, over dead letters."""
    codes: dict[str, list[int | str]] = {}
    for body, attributes in messages:
        document = json.loads(body) if attributes.get("ErrorCode") != "Malformed" else {}
        for error in document.get("Errors", []):
            codes.setdefault(error["To_Account"], []).append(error["ErrorCode"])
    return codes


class TestList:
    def test_users_are_counted_by_code_and_job(self, stack: Operated) -> None:
        add_some(stack)

        done = stack.dlq("list")

        assert done.code == 0
        assert rows_of(done.output) == {
            ("70107", "spring"): (3, 2),
            ("70107", "autumn"): (1, 1),
            ("90034", "spring"): (1, 1),
            ("Expired", "spring"): (1, 1),
            ("MaxReceiveCount", "-"): (1, 1),
            ("Malformed", "-"): (0, 1),
        }
        assert "account not imported" in done.output
        assert done.output.splitlines()[-1] == "5 messages on the dead-letter queue"

    def test_all_stay_and_are_in_sight_again(self, stack: Operated) -> None:
        for number in range(25):
            stack.add_dead_letter_of({f"stranger-{number}": 70107})

        stack.dlq("list")

        assert stack.dead_letters() == (25, 0)
        assert len(stack.take_dead_letters()) == 25

    def test_no_more_than_wanted_are_read(self, stack: Operated) -> None:
        for number in range(25):
            stack.add_dead_letter_of({f"stranger-{number}": 70107})

        done = stack.dlq("list", "--limit", 15)

        assert "15 messages on the dead-letter queue" in done.output
        assert "15 messages read: there may be more" in done.output
        assert stack.dead_letters() == (25, 0)

    def test_no_dead_letters_are_no_fault(self, stack: Operated) -> None:
        done = stack.dlq("list")
        assert (done.code, done.output.splitlines()[-1]) == (
            0,
            "0 messages on the dead-letter queue",
        )

    def test_odd_messages_are_counted_too(self, stack: Operated) -> None:
        user = [{"To_Account": "a", "Tags": ["gold"]}]
        for errors in (7, [7, {"To_Account": "a"}], [{"ErrorCode": 1}], None):
            stack.add_dead_letter(
                {"UserTags": user, "Errors": errors}, ErrorCode="70107", Reason="why"
            )
        stack.add_dead_letter("[]")

        done = stack.dlq("list")

        assert rows_of(done.output) == {("70107", "-"): (4, 4), ("Malformed", "-"): (0, 1)}


class TestExport:
    def test_csv_has_a_row_a_tag(self, stack: Operated, tmp_path: Path) -> None:
        add_some(stack)
        file = tmp_path / "dead-letters.csv"

        done = stack.dlq("export", file)

        assert (done.code, "5 messages exported" in done.output) == (0, True)
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
        found = {(row["To_Account"], row["Tag"], row["ErrorCode"], row["JobId"]) for row in rows}
        assert len(rows) == len(found) == 8
        assert ("stranger-1", "gold", "70107", "spring") in found
        assert ("crash", "gold", "MaxReceiveCount", "") in found
        assert ("", "", "Malformed", "") in found
        assert stack.dead_letters() == (5, 0)

    def test_json_lines_have_a_user_each(self, stack: Operated) -> None:
        add_some(stack)

        done = stack.dlq("export", "-", "--format", "jsonl")

        lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
        [refused] = [line for line in lines if line.get("To_Account") == "refused"]
        assert len(lines) == 8
        assert refused["Tags"] == ["gold"]
        assert refused["Errors"] == [{"ErrorCode": "90034", "ErrorInfo": "said TIMPush"}]
        assert (refused["JobId"], refused["SourceMessageId"]) == ("spring", "source-1")
        assert [line["Body"] for line in lines if "Body" in line] == ["no JSON"]

    def test_a_job_reads_the_json_lines_that_were_exported(
        self, stack: Operated, tmp_path: Path
    ) -> None:
        odd = ['a,b"c', "x|y", "line\nbreak"]
        stack.add_dead_letter(
            {"UserTags": [{"To_Account": "=odd; user", "Tags": odd}]}, ErrorCode="70107"
        )
        file = tmp_path / "dead-letters.jsonl"
        stack.dlq("export", file)

        lines = file.read_bytes().splitlines(keepends=True)

        assert list(read_rows(lines, Rules("jsonl"), True)) == [Row(1, "=odd; user", odd)]

    def test_counts_are_printed_as_json(self, stack: Operated) -> None:
        stack.add_dead_letter_of({"a": 70107, "b": 70107}, JobId="spring")
        stack.add_dead_letter("no JSON", ErrorCode="Malformed", Reason="why")

        done = stack.dlq("list", "--output", "json")

        assert json.loads(done.stdout) == {
            "Messages": 2,
            "Codes": [
                {"ErrorCode": "70107", "JobId": "spring", "Users": 2, "Messages": 1},
                {"ErrorCode": "Malformed", "JobId": "", "Users": 0, "Messages": 1},
            ],
        }

    def test_one_message_is_one(self, stack: Operated) -> None:
        stack.add_dead_letter_of({"a": 70107})
        assert stack.dlq("list").output.splitlines()[-1] == "1 message on the dead-letter queue"

    def test_a_file_that_is_there_is_not_overwritten(self, stack: Operated, tmp_path: Path) -> None:
        file = tmp_path / "dead-letters.csv"
        file.write_text("mine", encoding="utf-8")
        done = stack.dlq("export", file)
        assert (done.code, file.read_text(encoding="utf-8")) == (2, "mine")


class TestSendBack:
    def test_is_a_dry_run_unless_told_otherwise(self, stack: Operated) -> None:
        add_some(stack)

        done = stack.dlq("send-back", "--code", 70107)

        assert done.code == 0
        assert "would send back 4 users of 3 messages (70107: 4)" in done.output
        assert "nothing was changed: repeat with --yes" in done.output
        assert stack.take() == []
        assert stack.dead_letters() == (5, 0)

    def test_json_says_what_would_go_back(self, stack: Operated) -> None:
        stack.add_dead_letter_of({"stranger": 70107})
        stack.add_dead_letter_of({"other": 90034})
        done = stack.dlq("send-back", "--code", 70107, "--output", "json")
        assert json.loads(done.stdout) == {
            "Done": False,
            "Users": 1,
            "Messages": 1,
            "Codes": {"70107": 1},
            "Kept": 1,
        }

    def test_takes_the_users_of_a_code_and_leaves_the_others(self, stack: Operated) -> None:
        add_some(stack)

        done = stack.dlq("send-back", "--code", 70107, "--yes")

        assert (done.code, "sent back 4 users of 3 messages" in done.output) == (0, True)
        assert {account for account, _ in users_of(stack.take())} == {
            f"stranger-{number}" for number in (1, 2, 3, 4)
        }
        left = stack.take_dead_letters()
        assert codes_of(left) == {"refused": [90034], "late": ["Expired"]}
        assert sorted(attributes.get("ErrorCode", "-") for _, attributes in left) == [
            "-",
            "90034",
            "Expired",
            "Malformed",
        ]

    def test_who_stays_keeps_reason_and_origin(self, stack: Operated) -> None:
        stack.add_dead_letter_of({"stranger": 70107, "refused": 90034}, JobId="spring")

        stack.dlq("send-back", "--code", 70107, "--yes")

        [(body, attributes)] = stack.take_dead_letters()
        assert json.loads(body) == {
            "UserTags": [{"To_Account": "refused", "Tags": ["gold"]}],
            "Errors": [{"To_Account": "refused", "ErrorCode": 90034, "ErrorInfo": "said TIMPush"}],
            "SourceMessageId": "source-1",
        }
        assert attributes == {
            "SourceMessageId": "source-1",
            "ErrorCode": "90034",
            "Reason": "90034: said TIMPush",
            "JobId": "spring",
        }

    def test_messages_carry_job_and_request_on(self, stack: Operated) -> None:
        add_some(stack)
        stack.dlq("send-back", "--job", "autumn", "--yes", "--message-group-id", "later")
        [(_, attributes)] = stack.take()
        assert attributes == {
            "JobId": "autumn",
            "RequestId": "request-1",
            "MessageGroupId": "later",
        }

    def test_all_are_all_but_malformed_and_expired_ones(self, stack: Operated) -> None:
        add_some(stack)

        done = stack.dlq("send-back", "--all", "--yes")

        assert "sent back 6 users of 4 messages" in done.output
        assert {account for account, _ in users_of(stack.take())} == {
            *(f"stranger-{number}" for number in (1, 2, 3, 4)),
            *("refused", "crash"),
        }
        assert [body for body, _ in stack.take_dead_letters() if "late" not in body] == ["no JSON"]

    def test_those_go_back_when_they_are_named(self, stack: Operated) -> None:
        add_some(stack)

        stack.dlq("send-back", "--code", "Malformed", "--code", "Expired", "--yes")

        bodies = [body for body, _ in stack.take()]
        assert "no JSON" in bodies
        assert users_of([(body, {}) for body in bodies if body != "no JSON"]) == {
            ("late", "gold"): 1
        }

    def test_a_user_with_several_codes_goes_back_when_all_are_named(self, stack: Operated) -> None:
        body = {
            "UserTags": [{"To_Account": "both", "Tags": ["gold", "silver"]}],
            "Errors": [{"To_Account": "both", "ErrorCode": code} for code in (90034, "Expired")],
        }
        stack.add_dead_letter(body, ErrorCode="90034", Reason="why")

        first = stack.dlq("send-back", "--code", 90034, "--yes")
        both = stack.dlq("send-back", "--code", 90034, "--code", "Expired", "--yes")

        assert "sent back 0 users" in first.output
        assert "sent back 1 user of 1 message" in both.output
        assert stack.dead_letters() == (0, 0)

    def test_a_time_after_which_it_is_too_late_is_kept_and_can_be_set(
        self, stack: Operated
    ) -> None:
        add_some(stack)
        stack.dlq("send-back", "--all", "--yes", "--not-after", 4_000_000_000)
        limits = {json.loads(body)["NotAfter"] for body, _ in stack.take()}
        assert limits == {4_000_000_000}

        add_some(stack)
        stack.dlq("send-back", "--code", "MaxReceiveCount", "--yes")
        assert [json.loads(body)["NotAfter"] for body, _ in stack.take()] == [4_102_444_800]

    @pytest.mark.parametrize("options", [(), ("--all", "--code", "70107"), ("--all", "--job", "j")])
    def test_a_choice_must_be_made(self, stack: Operated, options: tuple[str, ...]) -> None:
        assert stack.dlq("send-back", *options).code == 2

    def test_nothing_is_deleted_that_the_queue_did_not_take(self, stack: Operated) -> None:
        stack.add_dead_letter_of({"stranger": 70107})

        done = stack.run(
            *("dlq", "send-back", "--all", "--yes", "--queue-url", f"{stack.queue_url}-gone"),
            *("--dead-letter-queue-url", stack.dead_letter_queue_url),
        )

        assert done.code == 1
        assert "NonExistentQueue" in done.output
        assert stack.dead_letters() == (1, 0)

    @pytest.mark.parametrize("action", ["SendMessageBatch", "DeleteMessageBatch"])
    def test_a_kill_in_mid_run_loses_no_user(self, stack: Operated, action: str) -> None:
        # Given SQS that falls silent in the middle: it does what is asked, but says nothing of it
        accounts = [f"stranger-{number}" for number in range(60)]
        for account in accounts:
            stack.add_dead_letter_of({account: 70107})
        urls = ("--queue-url", stack.queue_url, "--dead-letter-queue-url")
        command = ("dlq", "send-back", "--all", "--yes", "--seconds", 5, *urls)
        with (
            Gate(stack.aws_url, action, passes=2) as gate,
            stack.running(gate, *command, stack.dead_letter_queue_url) as process,
        ):
            assert gate.held.wait(SECONDS)
            # When it is killed
            assert process.poll() is None
            process.kill()
            process.wait(SECONDS)
        sent = users_of(stack.take())
        assert 0 < len(sent) < len(accounts)
        # And run again, as soon as SQS shows the messages again
        until = time.monotonic() + SECONDS
        while any(stack.dead_letters()) and time.monotonic() < until:
            assert stack.dlq("send-back", "--all", "--yes").code == 0
        # Then every user was sent
        sent += users_of(stack.take())
        assert stack.dead_letters() == (0, 0)
        assert sent.keys() == {(account, "gold") for account in accounts}

    def test_users_that_are_dead_lettered_again_meanwhile_do_not_go_round(
        self, stack: Operated
    ) -> None:
        # Given a worker that dead-letters at once whatever comes back
        stack.add_dead_letter_of({"stranger": 70107})
        stopped = threading.Event()

        def reject_again() -> None:
            while not stopped.wait(0.01):
                for _ in stack.take():
                    stack.add_dead_letter_of({"stranger": 70107})

        worker = threading.Thread(target=reject_again)
        worker.start()
        # When users are sent back
        try:
            done = stack.dlq("send-back", "--all", "--yes", "--seconds", 30)
        finally:
            stopped.set()
            worker.join(SECONDS)
        # Then it goes back once
        assert done.code == 0
        assert "sent back 1 user of 1 message" in done.output
