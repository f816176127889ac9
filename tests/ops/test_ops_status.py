"""`status`: a job's figures from the worker's own summary lines, from `send` to the last user."""

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from remove_tags_worker import app
from support.ops import Attributes, Done, Operated
from support.rotation import captured
from support.worker import Worker, record

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

MILLION = 1_000_000


@dataclass
class Scene:
    """The worker, the commands on its queues, and the log group that its lines go to."""

    worker: Worker
    stack: Operated
    logs: "CloudWatchLogsClient"
    group: str

    def send(self, file: Path, text: str, job: str) -> None:
        file.write_text(text, encoding="utf-8")
        done = self.stack.send(file, "--job", job)
        assert done.code == 0, done.output

    def deliver(self, messages: Iterable[tuple[str, Attributes]]) -> list[dict[str, Any]]:
        """One invocation with these messages; its log lines, as they went to the log group."""
        records = []
        for number, (body, attributes) in enumerate(messages):
            made = record(f"m{number}", body)
            made["messageAttributes"] = {
                name: {"dataType": "String", "stringValue": value}
                for name, value in attributes.items()
            }
            records.append(made)
        with captured(app.logger) as written:
            self.worker.handle({"Records": records})
        lines = written.getvalue().splitlines()
        self.log(lines)
        return [json.loads(line) for line in lines]

    def log(self, lines: list[str], seconds_ago: float = 0) -> None:
        stamp = round((time.time() - seconds_ago) * 1000)
        events: Any = [{"timestamp": stamp, "message": line} for line in lines]
        self.logs.put_log_events(logGroupName=self.group, logStreamName="s", logEvents=events)

    def status(self, job: str, *options: object) -> Done:
        return self.stack.run("status", job, "--log-group-name", self.group, *options)


@pytest.fixture
def scene(worker: Worker, aws_url: str) -> Iterator[Scene]:
    logs: CloudWatchLogsClient = boto3.client("logs")
    group = f"group-{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    stack = Operated(worker.sqs, aws_url, worker.queue_url, worker.dead_letter_queue_url)
    yield Scene(worker, stack, logs, group)
    logs.close()


def figures(done: Done) -> dict[str, str]:
    """Name -> figure of what `status` prints."""
    lines = [line.rsplit(maxsplit=1) for line in done.output.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2}


def csv_of(accounts: Iterable[str]) -> str:
    return "To_Account,Tag\n" + "".join(f"{account},gold\n" for account in accounts)


def summary(jobs: dict[str, dict[str, int]], **more: Any) -> str:
    return json.dumps({"message": "batch settled", "jobs": jobs, "jobs_left_out": 0} | more)


class TestOneJob:
    def test_users_are_followed_from_send_to_the_end(self, scene: Scene, tmp_path: Path) -> None:
        # Given 250 users, of whom TIMPush knows all but two
        accounts = [f"user-{number}" for number in range(250)]
        known = set(accounts) - {"user-7", "user-207"}
        scene.worker.know({account: ["gold"] for account in known})
        scene.send(tmp_path / "users.csv", csv_of(accounts), "spring")
        *full, rest = sorted(scene.stack.take(), key=lambda one: len(one[0]), reverse=True)
        # When the two messages of 100 users are worked on
        scene.deliver(full)
        # Then the third is pending
        assert figures(scene.status("spring")) == {
            "sent": "250",
            "removed": "199",
            "parked": "1",
            "pending": "50",
            "handed back": "0",
        }
        # When it is worked on, too
        scene.deliver([rest])
        # Then all are accounted for
        assert figures(scene.status("spring")) == {
            "sent": "250",
            "removed": "248",
            "parked": "2",
            "pending": "0",
            "handed back": "0",
        }

    def test_users_that_come_back_stay_pending(self, scene: Scene, tmp_path: Path) -> None:
        scene.worker.store_secret("{}")
        scene.send(tmp_path / "users.csv", csv_of(["a", "b"]), "spring")
        messages = scene.stack.take()

        scene.deliver(messages)
        scene.deliver(messages)

        found = figures(scene.status("spring"))
        assert (found["pending"], found["removed"], found["handed back"]) == ("2", "0", "4")

    def test_a_message_delivered_twice_is_counted_twice_and_that_is_said(
        self, scene: Scene, tmp_path: Path
    ) -> None:
        scene.worker.know({"a": ["gold"], "b": ["gold"]})
        scene.send(tmp_path / "users.csv", csv_of(["a", "b"]), "spring")
        messages = scene.stack.take()

        scene.deliver(messages)
        scene.deliver(messages)

        done = scene.status("spring")
        assert (figures(done)["removed"], figures(done)["pending"]) == ("4", "0")
        assert "2 more were settled than sent: delivered twice, or sent back" in done.output

    def test_parked_users_keep_their_job_in_the_log_and_on_the_dead_letter_queue(
        self, scene: Scene, tmp_path: Path
    ) -> None:
        scene.send(tmp_path / "users.csv", csv_of(["stranger"]), "spring")

        lines = scene.deliver(scene.stack.take())

        [parked] = [line for line in lines if line["message"] == "message parked"]
        assert parked["job_id"] == "spring"
        assert "spring" in scene.stack.dlq("list").output

    def test_jobs_are_told_apart(self, scene: Scene, tmp_path: Path) -> None:
        scene.worker.know({"a": ["gold"], "b": ["gold"]})
        scene.send(tmp_path / "one.csv", csv_of(["a", "stranger"]), "spring")
        scene.send(tmp_path / "two.csv", csv_of(["b"]), "spring-2")

        scene.deliver(scene.stack.take())

        assert figures(scene.status("spring"))["removed"] == "1"
        assert figures(scene.status("spring"))["parked"] == "1"
        assert figures(scene.status("spring-2"))["sent"] == "1"


class TestSummaryLine:
    def test_names_the_20_jobs_with_the_most_users(self, scene: Scene) -> None:
        users = {f"user-{number}": ["gold"] for number in range(30)}
        scene.worker.know(users)
        messages = [
            (json.dumps({"UserTags": [{"To_Account": a, "Tags": ["gold"]} for a in accounts]}),
             {"JobId": f"job-{number}"})
            for number in range(25)
            for accounts in [list(users)[: number + 1]]
        ]  # fmt: skip

        [line] = [one for one in scene.deliver(messages) if one["message"] == "batch settled"]

        assert set(line["jobs"]) == {f"job-{number}" for number in range(5, 25)}
        assert line["jobs_left_out"] == 5
        assert line["jobs"]["job-24"] == {
            "messages": 1, "users": 25, "removed": 25, "parked": 0, "handed_back": 0, "sent": 0,
        }  # fmt: skip

    @pytest.mark.parametrize("sent", ["many", "-1", "1e3", "9" * 16, "\u0661"])
    def test_a_number_of_users_that_makes_no_sense_is_none(self, scene: Scene, sent: str) -> None:
        body = json.dumps({"UserTags": [{"To_Account": "a", "Tags": ["gold"]}]})
        scene.deliver([(body, {"JobId": "spring", "JobUsers": sent})])
        assert figures(scene.status("spring"))["pending"] == "unknown"

    def test_names_no_jobs_when_there_are_none(self, scene: Scene) -> None:
        body = json.dumps({"UserTags": [{"To_Account": "a", "Tags": ["gold"]}]})
        assert not any("jobs" in line for line in scene.deliver([(body, {})]))

    def test_a_malformed_message_of_a_job_has_no_users(self, scene: Scene) -> None:
        lines = scene.deliver([("no JSON", {"JobId": "spring"})])
        counts = lines[-1]["jobs"]["spring"]
        assert (counts["messages"], counts["users"], counts["parked"]) == (1, 0, 0)


class TestLogs:
    def test_lines_of_a_long_job_are_added_up(self, scene: Scene) -> None:
        line = summary({"j": {"messages": 10, "removed": 990, "parked": 10, "sent": MILLION}})
        for _ in range(3):
            scene.log([line] * 333)
        found = figures(scene.status("j"))
        assert (found["removed"], found["parked"]) == ("989,010", "9,990")
        assert (found["sent"], found["pending"]) == ("1,000,000", "1,000")

    def test_lines_that_left_the_job_out_are_said(self, scene: Scene) -> None:
        shown = summary({"j": {"removed": 1, "sent": 3}})
        scene.log([shown, summary({"k": {}}, job_ids=["k", "j"])])
        done = scene.status("j")
        assert figures(done)["pending"] == "2"
        assert "1 lines held too many jobs to count this one: too low" in done.output

    def test_other_lines_do_not_count(self, scene: Scene) -> None:
        line = json.dumps({"message": "message parked", "job_id": "j"})
        scene.log([line, '"j"', 'j {"', "[]", json.dumps({"message": "batch settled", "jobs": 7})])
        done = scene.status("j")
        assert (done.code, "no summary line names j" in done.output) == (1, True)

    def test_old_lines_are_read_when_asked_for(self, scene: Scene) -> None:
        scene.log([summary({"j": {"removed": 1, "sent": 1}})], seconds_ago=7_200)
        assert scene.status("j", "--hours", 1).code == 1
        assert figures(scene.status("j", "--hours", 3))["removed"] == "1"

    def test_a_log_group_that_is_not_there_is_said(self, scene: Scene) -> None:
        done = scene.stack.run("status", "j", "--log-group-name", "none")
        assert (done.code, "ResourceNotFoundException" in done.output) == (1, True)
