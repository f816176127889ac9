"""Starts of calls: spaced within the share, and dense enough to fill it.

That no second holds more starts than the share is checked in every invocation of every test that
uses `Scene`; here is what that check alone would let pass.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scene import Reply, Scene, proven, states, want
from timpush.removal.engine import calls_in_flight


@pytest.mark.parametrize("latency", [0.01, 0.3, 0.95])
@pytest.mark.parametrize("share", [1, 6, 25, 50])
def test_the_share_is_filled_whatever_the_latency_up_to_a_second(
    share: int, latency: float
) -> None:
    scene = proven(lambda *_: Reply(latency=latency), share)

    scene.invoke(want(100 * share * 10))

    starts = [call.at for call in scene.started]
    assert len(starts) == share * 10
    assert starts[-1] - starts[0] == pytest.approx((share * 10 - 1) * 1.01 / share)


def test_a_fresh_environment_waits_one_gap_before_its_first_call() -> None:
    scene = Scene(share=4)
    began = scene.time.clock()

    scene.invoke(want(1))

    assert scene.started[0].at == pytest.approx(began + 1.01 / 4)


@pytest.mark.parametrize(("reading", "first"), [(0.1, 0.2525), (0.25, 0.2525), (3.0, 3.0)])
def test_the_gap_runs_while_the_batch_is_read(reading: float, first: float) -> None:
    scene = Scene(share=4)
    began = scene.time.clock()

    scene.invoke(want(1), reading=reading)

    assert scene.started[0].at == pytest.approx(began + first)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.floats(0, 0.4)), min_size=2, max_size=12),
    st.sampled_from([1, 4, 20, 50]),
)
def test_invocations_keep_the_share_together_however_long_they_read(
    invocations: list[tuple[int, float]], share: int
) -> None:
    scene = Scene(lambda *_: Reply(latency=0.0), share)
    for calls, reading in invocations:
        scene.invoke(want(100 * calls), reading=reading)  # each checks the starts of all
    starts = [call.at for call in scene.client.started]
    assert len(starts) == sum(calls for calls, _ in invocations)
    assert all(b - a > 1.01 / share - 0.0051 for a, b in pairwise(starts))


def test_time_without_calls_earns_no_credit() -> None:
    scene = proven(lambda *_: Reply(), share=10)
    scene.time.spend(3_600)

    scene.invoke(want(2_000))

    starts = [call.at for call in scene.started]
    gaps = [after - before for before, after in pairwise(starts)]
    assert min(gaps) == pytest.approx(0.101)


def test_invocations_that_follow_each_other_keep_the_share_together() -> None:
    scene = Scene(lambda *_: Reply(latency=0.0), share=5)

    for _ in range(30):
        scene.invoke(want(1))

    starts = [call.at for call in scene.client.started]
    assert starts[-1] - starts[0] >= 29 / 5


def test_replies_of_three_seconds_leave_the_share_filled() -> None:
    scene = proven(lambda *_: Reply(latency=3.0), share=25)

    scene.invoke(want(20_000))

    starts = [call.at for call in scene.started]
    assert starts[-1] - starts[1] == pytest.approx(198 * 1.01 / 25)


def test_slower_replies_hold_no_more_calls_in_flight_than_connections() -> None:
    scene = proven(lambda *_: Reply(latency=7.0), share=25)

    removal = scene.invoke(want(20_000))

    for call in scene.started:
        in_flight = sum(one.at <= call.at < one.ended for one in scene.started)
        assert in_flight <= calls_in_flight(25) == 88
    assert {"removed"} in states(removal).values()
