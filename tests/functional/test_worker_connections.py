"""The connections of the worker: kept, shared, and closed by the other side."""

from support.worker import Worker, body
from timpush_server import Fault, TimPushServer

ONE = body({"user": ["gold"]})


def tags(users: int) -> dict[str, list[str]]:
    return {f"user-{number}": ["gold"] for number in range(users)}


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
    worker.timpush.latency = 0.3
    # When there are many calls, then several wait for their replies at the same time
    assert worker.remove(body(tags(2_000))) == []
    assert not any(worker.timpush.tags.values())
    assert len({call.connection for call in worker.timpush.received}) >= 5


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


def test_a_lost_reply_on_a_kept_connection_is_repeated(worker: Worker) -> None:
    worker.know(tags(1) | {"user": ["gold"]})
    assert worker.remove(body(tags(1))) == []
    worker.timpush.inject(Fault("lost_reply"))
    assert worker.remove(ONE) == []
    assert [call.fault for call in worker.timpush.received] == ["", "lost_reply", ""]
