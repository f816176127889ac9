"""All environments together stay within the budget, whatever they do and whenever they start."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.environment import worker_environment
from timpush.removal.pace import (
    CATCH_UP_SECONDS,
    MARGIN,
    QUIET_SECONDS,
    SLOTS_SKIPPED,
    Pace,
)
from timpush.settings import read_settings

BUDGETS = [100, 96, 90, 80, 60]
CONCURRENCIES = [2, 4, 5, 10]
Invocation = tuple[float, list[tuple[float, int]]]
"""Seconds since the one before, then bursts: (seconds without any call wanted, calls wanted)."""
EAGER: Invocation = (0.0, [(0.0, 160)])


def share_of(calls_per_second: int, concurrency: int) -> int:
    changed = {"TIMPUSH_CALLS_PER_SECOND": calls_per_second, "WORKER_CONCURRENCY": concurrency}
    return read_settings(worker_environment(**changed)).share


class Clock:
    def __init__(self, time: float = 5_000.0) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time

    def reach(self, time: float) -> None:
        self.time = max(self.time, time)


def starts_of(invocations: list[Invocation], share: int, since: float = 5_000.0) -> list[float]:
    """When one environment after the other, each for one invocation, starts its calls."""
    clock, starts = Clock(since), []
    for pause, bursts in invocations:
        clock.time += pause
        pace = Pace(share, clock())
        for idle, calls in bursts:
            clock.time += idle
            for _ in range(calls):
                clock.reach(pace.earliest)
                pace.start(clock())
                starts.append(clock.time)
    return starts


def most_in_a_second(starts: list[float]) -> int:
    """The most starts in any second, its two ends included."""
    starts = sorted(starts)
    most = first = 0
    for last, start in enumerate(starts):
        while start - starts[first] > 1:
            first += 1
        most = max(most, last - first + 1)
    return most


class TestOneEnvironment:
    @pytest.mark.parametrize("share", [1, 2, 6, 20, 48, 50, 100])
    def test_starts_are_spaced_by_a_little_over_their_share_of_a_second(self, share: int) -> None:
        gaps = [b - a for a, b in pairwise(starts_of([EAGER], share))]
        assert min(gaps) > 1 / share
        assert max(gaps) < 1.03 / share

    def test_the_first_call_waits_a_gap(self) -> None:
        clock = Clock()
        assert Pace(10, clock()).earliest - clock() > 1 / 10

    def test_time_without_calls_earns_nothing(self) -> None:
        starts = starts_of([(0.0, [(0.0, 10), (3_600.0, 160)])], 20)
        assert most_in_a_second(starts) == 20

    def test_a_late_start_moves_the_next_one(self) -> None:
        clock = Clock()
        pace = Pace(10, clock())
        clock.time += 7.77
        pace.start(clock())
        assert pace.earliest > clock() + 1 / 10 - CATCH_UP_SECONDS

    def test_starts_that_are_a_little_late_each_keep_the_pace(self) -> None:
        clock, starts = Clock(), []
        pace = Pace(25, clock())
        for _ in range(250):
            clock.time = pace.earliest + CATCH_UP_SECONDS / 2
            pace.start(clock())
            starts.append(clock.time)
        assert starts[-1] - starts[0] < 249 * 1.011 / 25
        assert most_in_a_second(starts) == 25

    @given(st.lists(st.floats(0, 0.1), min_size=60, max_size=120), st.sampled_from([1, 6, 25, 50]))
    def test_starts_that_are_late_at_random_keep_the_budget(
        self, delays: list[float], share: int
    ) -> None:
        clock, starts = Clock(), []
        pace = Pace(share, clock())
        for delay in delays:
            clock.time = pace.earliest + delay
            pace.start(clock())
            starts.append(clock.time)
        assert most_in_a_second(starts) <= share

    def test_a_refusal_by_rate_skips_slots(self) -> None:
        pace = Pace(10, 0.0)
        pace.took(0.2)
        earliest = pace.earliest
        pace.refused(0.3)
        assert pace.earliest == pytest.approx(max(earliest, 0.3) + SLOTS_SKIPPED * MARGIN / 10)

    def test_many_refusals_at_once_skip_a_second_at_most(self) -> None:
        pace = Pace(10, 0.0)
        pace.took(0.2)
        for _ in range(50):
            pace.refused(0.3)
        assert pace.earliest == pytest.approx(0.3 + QUIET_SECONDS)

    def test_refusals_that_nothing_passes_pause_for_a_second_each(self) -> None:
        pace = Pace(10, 0.0)
        pace.refused(QUIET_SECONDS)
        assert pace.earliest == 2 * QUIET_SECONDS

    @given(st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=40))
    def test_whatever_is_refused_no_start_comes_sooner(
        self, replies: list[tuple[float, bool]]
    ) -> None:
        pace, clock = Pace(25, 0.0), 0.0
        for seconds, refused in replies:
            clock, earliest = clock + seconds, pace.earliest
            (pace.refused if refused else pace.took)(clock)
            assert earliest <= pace.earliest <= max(earliest, clock + QUIET_SECONDS)


@pytest.mark.parametrize("calls_per_second", BUDGETS)
@pytest.mark.parametrize("concurrency", CONCURRENCIES)
class TestAllEnvironments:
    def test_at_full_load_the_budget_is_kept_and_nearly_used(
        self, calls_per_second: int, concurrency: int
    ) -> None:
        share = share_of(calls_per_second, concurrency)
        starts = starts_of([EAGER], share) * concurrency
        assert most_in_a_second(starts) == share * concurrency <= calls_per_second
        assert share * concurrency > calls_per_second - concurrency

    def test_environments_that_are_replaced_at_once_keep_the_budget(
        self, calls_per_second: int, concurrency: int
    ) -> None:
        share = share_of(calls_per_second, concurrency)
        fresh: list[Invocation] = [(0.0, [(0.0, 1)])] * (2 * share)
        assert most_in_a_second(starts_of(fresh, share) * concurrency) <= calls_per_second


@settings(max_examples=60)
@given(st.sampled_from(BUDGETS), st.sampled_from(CONCURRENCIES), st.data())
def test_whatever_arrives_whenever_the_budget_is_kept(
    calls_per_second: int, concurrency: int, data: st.DataObject
) -> None:
    share = share_of(calls_per_second, concurrency)
    seconds = st.floats(0, 2) | st.sampled_from([0.0, 1 / share, 1.0, 60.0])
    bursts = st.lists(st.tuples(seconds, st.integers(1, 2 * share)), max_size=3)
    invocations = st.lists(st.tuples(seconds, bursts), max_size=4)
    starts: list[float] = []
    for _ in range(concurrency):
        since = 5_000 + data.draw(seconds)
        starts += starts_of(data.draw(invocations), share, since)
    assert most_in_a_second(starts) <= calls_per_second


@pytest.mark.parametrize("share", [6, 15, 20, 25, 50])
def test_late_starts_in_short_invocations_stay_within_the_share(share: int) -> None:
    # Given invocations of two calls, one right after the other, each first call late
    clock, starts = Clock(), []
    for _ in range(3 * share):
        pace = Pace(share, clock())
        for late in (CATCH_UP_SECONDS, 0.0):
            clock.reach(pace.earliest + late)
            pace.start(clock())
            starts.append(clock.time)
    # Then no second holds more than the share
    assert most_in_a_second(starts) <= share
