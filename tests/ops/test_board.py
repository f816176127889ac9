"""`board`: what the operators' page shows of a stack, and to whom it answers."""

import html
import re
from collections.abc import Iterator, Mapping
from functools import partial
from operator import getitem
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from flask.testing import FlaskClient

from support.board import WORKER_CALLS, BoardStack, board_stack, fill
from support.ops import Operated, operated
from timpush_ops.board_command import NAMES
from timpush_ops.board_figures import (
    WORKER,
    Alarm,
    Clients,
    DeadLetters,
    Depth,
    Metrics,
    Series,
    Share,
    dead_letters_of,
)
from timpush_ops.board_page import Found, Reader, Source, headline, make_app, make_sources, show_age
from timpush_ops.job_view import make_table
from timpush_ops.stack import make_client, resolve

SERVICES = ("cloudformation", "lambda", "cloudwatch", "logs", "sqs")


@pytest.fixture
def operator(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        boto3.setup_default_session()
        yield made


@pytest.fixture
def stack(operator: Operated) -> Iterator[BoardStack]:  # noqa: ARG001 - it sets the environment
    with board_stack() as made:
        yield made


def sources(stack: BoardStack) -> dict[str, Source]:
    target = resolve(stack.name, dict.fromkeys(NAMES))
    clients = Clients(*(make_client(service) for service in SERVICES))
    return make_sources(clients, make_table(target["jobs_table"]), stack.name, target)


def page(read: Mapping[str, Source]) -> FlaskClient:
    return make_app("shop", "us-east-1", Reader(read)).test_client()


def words(read: BoardStack | Mapping[str, Source]) -> str:
    """The page as a person reads it, without markup and line breaks."""
    reply = page(sources(read) if isinstance(read, BoardStack) else read).get("/")
    assert reply.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", reply.text)).split())


def refuse() -> Any:
    denied: Any = {"Error": {"Code": "AccessDenied", "Message": "you may not <b>look</b>"}}
    raise ClientError(denied, "Look")


class TestFigures:
    def test_a_stack_without_data_shows_no_zeros(self, stack: BoardStack) -> None:
        shown = words(stack)
        assert "0 messages wait In flight 0 Oldest — Worker's mapping Enabled" in shown
        assert f"— of {WORKER_CALLS} calls/s by the worker Users removed — In the last" in shown
        assert "Calls by the endpoint — of 20/s" in shown
        assert shown.count("CloudWatch has no data for the last hour") == 2
        assert "No user was put there in the last hour" in shown
        assert "No jobs yet" in shown
        assert "The stack has no alarms" in shown

    def test_messages_are_counted_and_not_received(self, stack: BoardStack) -> None:
        stack.send("QueueUrl", 3)
        stack.send("DeadLetterQueueUrl", 2)
        stack.age(3_700)
        shown = words(stack)
        assert "3 messages wait In flight 0 Oldest 1 h 1 min" in shown
        assert "2 messages" in shown
        sqs = boto3.client("sqs")
        url = stack.outputs["DeadLetterQueueUrl"]
        received: Any = sqs.receive_message(
            QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        sqs.close()
        assert received["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"

    def test_calls_are_held_against_the_share(self, stack: BoardStack) -> None:
        minutes = range(60, 420, 60)
        stack.count("Calls", WORKER_CALLS * 60 / 2, *minutes)
        stack.count("UsersRemoved", 60_000, *minutes)
        stack.count("Calls", 1_500, service=f"{stack.name}-endpoint")
        shown = words(stack)
        assert f"40 of {WORKER_CALLS} calls/s by the worker Users removed 1,000/s" in shown
        assert "Calls by the endpoint 5 of 20/s" in shown
        assert "50 % of the worker's budget is used" in page(sources(stack)).get("/").text.replace(
            "&#39;", "'"
        )

    def test_other_stacks_are_left_out(self, stack: BoardStack) -> None:
        stack.count("HandedBackTransient", 7, service="another")
        stack.alarm("DeadLetterQueueAlarm", "ALARM", stack_name=f"{stack.name}-2")
        shown = words(stack)
        assert "Transient" not in shown
        assert "The stack has no alarms" in shown

    def test_returned_messages_stand_by_reason(self, stack: BoardStack) -> None:
        stack.count("HandedBackRateLimited", 8)
        stack.count("HandedBackTransient", 300)
        stack.count("HandedBackTransient", 11, 1_800)
        stack.count("HandedBackUnknown", 5, 7_200)
        shown = words(stack)
        assert re.search(r"Transient no reply.* 311 Rate limited refused by rate 8", shown)
        assert "Unknown" not in shown

    def test_dead_letters_stand_by_code(self, stack: BoardStack) -> None:
        stack.log(
            {"message": "batch settled", "parked": {"70107": 1_180, "Expired": 2}},
            {"message": "batch settled", "parked": {"70107": 20}},
            {"message": "another line of a batch settled", "parked": {"70107": 9}},
            "no JSON: batch settled",
        )
        shown = words(stack)
        assert "70107 account not imported 1,200 Expired NotAfter had passed 2" in shown

    @pytest.mark.parametrize(
        "line",
        ["[]", "{", '{"message": "batch settled"}', '{"message": "batch settled", "parked": [1]}'],
    )
    def test_lines_that_say_nothing_of_codes_count_nothing(self, line: str) -> None:
        assert dead_letters_of(line) == {}

    def test_alarms_stand_with_what_to_do(self, stack: BoardStack) -> None:
        stack.alarm("QueueAgeAlarm", "OK")
        stack.alarm("DeadLetterQueueAlarm", "ALARM")
        shown = words(stack)
        assert shown.startswith("1 alarm · shop")
        assert re.search(r"Alarm DeadLetterQueueAlarm since \S+ \S+ UTC Users or messages", shown)
        assert f"dlq list --stack-name {stack.name}" in shown
        assert "1 OK OK QueueAgeAlarm" in shown

    def test_alarms_without_data_are_not_called_good(self, stack: BoardStack) -> None:
        stack.alarm("QueueAgeAlarm", "INSUFFICIENT_DATA")
        shown = words(stack)
        assert shown.startswith("No alarm data · shop")
        assert "0 OK, 1 without data" in shown
        stack.alarm("DeadLetterQueueAlarm", "OK")
        shown = words(stack)
        assert shown.startswith("No alarm · shop")
        assert "1 OK, 1 without data" in shown

    def test_a_dry_run_says_what_would_be_removed(self, stack: BoardStack) -> None:
        end = {"State": "done", "EndedAt": "2026-11-25T12:01:00Z", "Users": 3, "NotRemoved": 3}
        stack.jobs.put_job("job-1", **end, Options={"dry-run": "true"})
        assert "done, dry run users.csv" in words(stack)
        assert "Users 3 Would remove 3 ./ops job job-1" in words(stack)

    def test_a_paused_worker_is_said_with_how_to_resume(self, stack: BoardStack) -> None:
        assert "./ops pause --stack-name shop" in words(stack)
        stack.pause()
        shown = words(stack)
        assert shown.startswith("Paused")
        assert "Worker's mapping Disabled" in shown
        assert "./ops resume --stack-name shop" in shown

    def test_jobs_stand_with_their_commands(self, stack: BoardStack) -> None:
        fill(stack)
        shown = words(stack)
        running, done, failed = (
            shown.index(words)
            for words in ("sending users.csv", "done winback.csv", "failed users.csv")
        )
        assert running < done < failed
        assert "Removed 999,836 Not removed 164" in shown[done:failed]
        assert "Users 200,000 Removed 124,260 Not removed 40 Pending 75,700" in shown[running:done]
        assert (
            'aria-label="124,300 of 200,000 users are settled"'
            in page(sources(stack)).get("/").text
        )
        assert "job stop" not in shown[done:]
        assert "job stop 20261125T100000Z-77c0ffee" in shown[running:done]
        assert "line 3: To_Account is empty" in shown[failed:]

    def test_a_job_that_waits_for_a_paused_worker_says_so(self, stack: BoardStack) -> None:
        fill(stack)
        paused = "The worker is paused: this job goes on when it is resumed. ./ops resume"
        assert paused not in words(stack)
        stack.pause()
        assert words(stack).count(paused) == 1

    def test_what_users_write_is_no_markup(self, stack: BoardStack) -> None:
        stack.jobs.put_job("job-1", State="failed", Reason="<script>1</script>", RequestedBy="<b>")
        shown = page(sources(stack)).get("/").text
        assert "&lt;script&gt;" in shown
        assert "<script" not in shown
        assert "<b>" not in shown


NOTHING = Series((0.0,) * 60)
DEPTH = Depth(0, 0, 0)
CALM: dict[str, Any] = {
    "queue": DEPTH,
    "dead": DEPTH,
    "mapping": "Enabled",
    "jobs": [],
    "alarms": [],
    "share": Share(79, 20),
    "metrics": Metrics(dict.fromkeys(WORKER, NOTHING), NOTHING, None, True),
    "dead_letters": DeadLetters([], True),
}


def says(value: Any, right: str) -> Source:
    return Source(lambda: value, right, 60)


def constant(**values: Any) -> dict[str, Source]:
    """Sources of a calm stack, but for these."""
    return {name: says(value, f"right:{name}") for name, value in (CALM | values).items()}


class TestFaults:
    @pytest.mark.parametrize("name", CALM)
    def test_a_source_that_cannot_be_read_says_so_in_its_place(self, name: str) -> None:
        shown = words(constant() | {name: Source(refuse, f"right:{name}", 60)})
        said = "Cannot be read. An error occurred (AccessDenied) when calling the Look operation: "
        place = f"{said}you may not <b>look</b> It needs right:{name}"
        assert shown.count(place) == (2 if name == "metrics" else 1)
        assert shown.count("Cannot be read") == shown.count(place)
        assert shown.startswith("Not everything could be read")

    def test_whatever_is_wrong_the_others_are_shown(self) -> None:
        shown = words(constant() | {"jobs": Source(partial(getitem, {}, "x"), "none", 1)})
        assert "Cannot be read. KeyError: 'x'" in shown
        assert "0 messages wait" in shown

    def test_nothing_can_be_read(self) -> None:
        shown = words(dict.fromkeys(CALM, Source(refuse, "all", 1)))
        assert shown.count("Cannot be read") == len(CALM) + 1

    def test_an_alarm_outweighs_what_cannot_be_read(self) -> None:
        read = constant(alarms=[Alarm("QueueAgeAlarm", "ALARM", None, "wait")])
        assert words(read | {"jobs": Source(refuse, "", 1)}).startswith("1 alarm")

    def test_a_log_that_is_too_long_is_said(self) -> None:
        shown = words(constant(dead_letters=DeadLetters([("70107", 5, "")], False)))
        assert "in the last hour, at least" in shown

    def test_a_stack_that_is_not_there_is_said_at_the_start(self, operator: Operated) -> None:
        done = operator.run("board", "--stack-name", "nowhere")
        assert done.code == 2
        assert "nowhere" in done.output

    def test_an_arn_is_no_name(self, operator: Operated) -> None:
        done = operator.run("board", "--stack-name", "arn:aws:cloudformation:x:1:stack/a/b")
        assert (done.code, "must be the stack's name" in done.output) == (2, True)


class TestServer:
    @pytest.mark.parametrize("path", ["/", "/static/board.css"])
    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("127.0.0.1:8080", 200),
            ("localhost", 200),
            ("attacker.example", 400),
            ("127.0.0.1.attacker.example:8080", 400),
            ("10.0.0.1", 400),
        ],
    )
    def test_only_this_machines_names_are_answered(self, path: str, host: str, status: int) -> None:
        with page(constant()).get(path, headers={"Host": host}) as reply:
            assert reply.status_code == status

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_only_get_is_taken(self, method: str) -> None:
        assert page(constant()).open("/", method=method).status_code == 405

    def test_the_page_loads_nothing_from_elsewhere(self) -> None:
        reply = page(constant()).get("/")
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert re.findall(r'(?:src|href)="([^"]*)"', reply.text) == [
            "data:,",
            "/static/board.css",
            "/?refresh=0",
        ]

    def test_refreshing_can_be_stopped(self) -> None:
        client = page(constant())
        assert 'http-equiv="refresh"' in client.get("/").text
        assert 'http-equiv="refresh"' not in client.get("/?refresh=0").text


class TestReader:
    def test_what_was_read_is_kept_for_its_seconds(self) -> None:
        now, reads = [0.0], []
        source = Source(lambda: reads.append(now[0]), "none", 60)
        reader = Reader({"one": source}, lambda: now[0])
        for now[0] in (0, 10, 59, 60, 61, 130):
            reader.read()
        assert reads == [0, 60, 130]

    def test_an_error_is_not_kept(self) -> None:
        results = iter([{}, {"x": 1}])
        reader = Reader({"one": Source(lambda: next(results)["x"], "none", 60)}, lambda: 0.0)
        assert reader.read()["one"].error
        assert reader.read()["one"] == Found(1, "", "none")


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (172_799, "47 h 59 min"),
            (183_600, "2 d 3 h"),
        ],
    )
    def test_ages(self, seconds: int, shown: str) -> None:
        assert show_age(seconds) == shown

    def test_a_mapping_in_between_is_no_pause(self) -> None:
        found = {"alarms": Found([], "", ""), "mapping": Found("Enabling", "", "")}
        assert headline(found) == ("warn", "Changing")
