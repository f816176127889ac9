"""How long a message that returns to the queue stays invisible."""

from threading import Barrier, Lock
from typing import TYPE_CHECKING, Any, cast

import pytest

from timpush.aws import SQS_THREADS, make_sqs
from timpush.queue.delays import (
    HELD,
    HELD_DELAY,
    HELD_RECEIVES,
    LACK_OF_TIME,
    MAX_VISIBILITY_SECONDS,
    SOON_SECONDS,
    backoff_seconds,
    set_delays,
)
from timpush.queue.sender import SENDERS

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BASE, CAP = 30, 900


def least(low: float, _: float) -> float:
    return low


def most(_: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("receive_count", "ceiling"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (100, 900), (10**9, 900)],
)
def test_the_ceiling_doubles_up_to_the_cap(receive_count: int, ceiling: int) -> None:
    assert backoff_seconds("transient", receive_count, BASE, CAP, most) == ceiling


def test_the_jitter_is_full() -> None:
    assert backoff_seconds("transient", 6, BASE, CAP, least) == 1


@pytest.mark.parametrize("reason", sorted(LACK_OF_TIME))
def test_what_lacked_time_comes_back_within_seconds(reason: str) -> None:
    assert backoff_seconds(reason, 50, BASE, CAP, most, soon=2) == 2
    assert backoff_seconds(reason, 50, BASE, CAP, most) == SOON_SECONDS


@pytest.mark.parametrize("reason", sorted(HELD))
def test_what_was_held_in_vain_comes_back_within_two_minutes_at_first(reason: str) -> None:
    assert backoff_seconds(reason, 1, BASE, CAP, most) == HELD_DELAY * BASE
    assert backoff_seconds(reason, HELD_RECEIVES, BASE, CAP, most) == HELD_DELAY * BASE
    assert backoff_seconds(reason, 1, BASE, CAP, least) == HELD_DELAY * BASE / 2


@pytest.mark.parametrize("reason", sorted(HELD))
def test_what_was_held_in_vain_for_hours_comes_back_less_often(reason: str) -> None:
    assert backoff_seconds(reason, HELD_RECEIVES + 1, BASE, CAP, most) == CAP
    assert backoff_seconds(reason, HELD_RECEIVES + 1, BASE, CAP, least) == CAP / 2


@pytest.mark.parametrize("reason", sorted(HELD))
def test_the_cap_bounds_what_was_held(reason: str) -> None:
    assert backoff_seconds(reason, 1, 60, 100, most) == 100


@pytest.mark.parametrize("receive_count", [0, -1])
def test_an_odd_receive_count_is_taken_for_the_first(receive_count: int) -> None:
    assert backoff_seconds("transient", receive_count, BASE, CAP, most) == BASE


def test_the_longest_wait_is_one_that_sqs_takes() -> None:
    cap = MAX_VISIBILITY_SECONDS
    assert backoff_seconds("transient", 100, cap, cap, most) == cap


class Queue:
    """Notes what is asked of it; lets the first requests return together, one of each thread."""

    def __init__(self) -> None:
        self.set: list[int] = []
        self._requests = 0
        self._lock = Lock()
        self._together = Barrier(SQS_THREADS)

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            self._requests += 1
            first = self._requests <= SQS_THREADS
            self.set += [entry["VisibilityTimeout"] for entry in request["Entries"]]
        if first:
            self._together.wait(10)
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}


def test_the_shortest_delays_are_set_first() -> None:
    queue = Queue()
    delays = [(f"handle-{number}", number * 7919 % 1_000) for number in range(1_000)]
    client = cast("SQSClient", queue)
    assert set_delays(client, "https://q", delays, 60.0, lambda: 0.0) == 1_000
    assert sorted(queue.set) == list(range(1_000))
    early = 10 * SQS_THREADS  # a request of ten for each thread
    assert sorted(queue.set[:early]) == list(range(early))


def test_each_thread_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    connections: Any = make_sqs().meta.config
    assert connections.max_pool_connections >= max(SQS_THREADS, SENDERS)
