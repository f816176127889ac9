"""The connections of the worker: kept, shared, and closed by the other side."""

import json
import threading
import time
from typing import Literal

import pytest

from support.raw_server import answer, drip, late, raw_server
from support.worker import Worker, body
from timpush_server import Fault, TimPushServer

ONE = body({"user": ["gold"]})
OK = answer(b'{"ActionStatus":"OK","ErrorCode":0}').data


def tags(users: int) -> dict[str, list[str]]:
    return {f"user-{number}": ["gold"] for number in range(users)}


def calls_failed(capfd: pytest.CaptureFixture[str]) -> float:
    """Calls that failed in the latest invocation, by its metrics."""
    printed = [line for line in capfd.readouterr().out.splitlines() if '"_aws"' in line]
    counted: float = json.loads(printed[-1])["CallsFailed"][0]
    return counted


def test_connections_are_kept_within_and_between_invocations(worker: Worker) -> None:
    worker.know(tags(1_000))
    for _ in range(3):
        assert worker.remove(body(tags(1_000))) == []
    used = {call.connection for call in worker.timpush.received}
    assert len(worker.timpush.received) == 30
    assert len(used) <= 5


def test_a_slow_timpush_gets_more_calls_at_a_time(worker: Worker) -> None:
    # Given replies that take much longer than the gap between two calls
    worker.know(tags(2_000))
    worker.timpush.latency = 0.6
    # When there are many calls, then several wait for their replies at the same time
    assert worker.remove(body(tags(2_000))) == []
    assert not any(worker.timpush.tags.values())
    used = {call.connection for call in worker.timpush.received}
    assert len(used) >= 5
    # And all of them are kept for the next invocation, which needs fewer
    before = len(worker.timpush.received)
    worker.timpush.latency = 0.2
    assert worker.remove(body(tags(2_000))) == []
    assert len({call.connection for call in worker.timpush.received[before:]} - used) <= 2


def test_kept_connections_that_timpush_closed_between_invocations_cost_nothing(
    worker: Worker,
) -> None:
    # Given kept connections, all closed by a restart of TIMPush
    worker.know(tags(500))
    assert worker.remove(body(tags(500))) == []
    port = int(worker.timpush.url.rpartition(":")[2])
    worker.timpush.__exit__()
    with TimPushServer(port=port, key=worker.timpush.key) as restarted:
        restarted.tags.update({account: {"gold"} for account in tags(500)})
        # When the next invocation comes
        assert worker.remove(body(tags(500))) == []
        # Then each call was sent once
        assert len(restarted.received) == 5
        assert not any(restarted.tags.values())


def test_a_timpush_that_takes_no_connection_hands_everything_back(worker: Worker) -> None:
    worker.timpush.__exit__()
    assert worker.remove(ONE) == ["m0"]


@pytest.mark.parametrize("kind", ["drop", "lost_reply"])
def test_a_kept_connection_that_dies_unanswered_is_no_failure(
    worker: Worker, kind: Literal["drop", "lost_reply"], capfd: pytest.CaptureFixture[str]
) -> None:
    worker.know(tags(1) | {"user": ["gold"]})
    assert worker.remove(body(tags(1))) == []
    worker.timpush.inject(Fault(kind))
    assert worker.remove(ONE) == []
    assert [call.fault for call in worker.timpush.received] == ["", kind, ""]
    assert calls_failed(capfd) == 0


def test_a_new_connection_that_dies_unanswered_is_a_failure(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.know({"user": ["gold"]})
    worker.timpush.inject(Fault("drop"))
    assert worker.remove(ONE) == []
    assert calls_failed(capfd) == 1


def test_a_body_that_speaks_of_success_is_not_believed_with_another_status(
    worker: Worker,
) -> None:
    worker.know({"user": ["gold"]})
    body_of_success = b'{"ActionStatus": "OK", "ErrorCode": 0}'
    worker.timpush.inject(Fault("status", status=502, body=body_of_success))
    assert worker.remove(ONE) == []
    assert worker.timpush.tags["user"] == set()


@pytest.mark.parametrize(
    "early",
    [
        answer(status=502).data,
        answer(status=204).data,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        answer(b'{"ActionStatus":"FAIL","ErrorCode":91000}').data,
    ],
    ids=["502", "204", "200 without a body", "91000"],
)
def test_a_success_that_comes_late_acknowledges_no_other_call(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, early: bytes
) -> None:
    # Given a proxy that answers each call with a failure, and a moment later with a success
    with raw_server(*[late(early, OK)] * 200) as server:
        monkeypatch.setenv("TIMPUSH_ENDPOINT_URL", server.url)
        # When a batch of several calls is done, with probes
        failed = worker.remove(body(tags(400)), ONE, seconds=13)
    # Then nothing counts as removed
    assert len(server.requests) >= 3
    assert failed == ["m0", "m1"]


def test_a_success_that_hides_failures_acknowledges_nothing(worker: Worker) -> None:
    reply = {"ActionStatus": "OK", "ErrorCode": 0, "FailList": [{"To_Account": "user"}]}
    worker.timpush.set_fault(Fault("body", body=json.dumps(reply).encode()))
    assert worker.remove(ONE) == ["m0"]
    assert worker.dead_letters() == []


@pytest.mark.parametrize("data", [OK, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20], ids=["200", "103"])
def test_a_reply_that_drips_leaves_no_thread_behind(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    # Given replies that come a byte at a time, for longer than an invocation lasts
    with raw_server(*[drip(data, seconds=0.2)] * 20) as server:
        monkeypatch.setenv("TIMPUSH_ENDPOINT_URL", server.url)
        # When a batch is done, then it returns in time
        began = time.monotonic()
        assert worker.remove(ONE, seconds=9) == ["m0"]
        assert time.monotonic() - began < 9
        # And a moment later no thread waits for a reply, and the socket is closed
        give_up = time.monotonic() + 2
        while waiting() and time.monotonic() < give_up:
            time.sleep(0.05)
        assert waiting() == []
        for _ in range(server.connections):
            assert server.closed.acquire(timeout=5)


def waiting() -> list[str]:
    """The threads of a pool that are busy."""
    return [one.name for one in threading.enumerate() if one.name.startswith("ThreadPool")]
