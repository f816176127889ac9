"""Failures that pass: retried soon, split when they belong to one user; refusals by rate."""

from itertools import pairwise

import pytest

from support.scene import (
    Reply,
    Scene,
    Started,
    ended,
    failing,
    listing,
    proven,
    reasons,
    refusing,
    replies,
    states,
    want,
)
from timpush.errors import ConnectionReuseError, TransientError
from timpush.messages import UserTags
from timpush.removal.pace import MARGIN, QUIET_SECONDS, SLOTS_SKIPPED
from timpush.removal.plan import MAX_FAILURES, PART_FAILURES, TOGETHER_SECONDS

RATE_LIMITS = [60007, 60011, 60018, 60019]
HTTP_502 = Reply(TransientError("HTTP502", "the status is not 200"))
REMOVED, RETRY = {"removed"}, {"retry"}
GAP = MARGIN / 25


def waits(started: list[Started]) -> list[float]:
    """Seconds from each call's end to the next one's start."""
    return [after.at - before.ended for before, after in pairwise(started)]


@pytest.mark.parametrize("chance", [0.3, 0.999])
def test_a_transient_failure_is_retried_after_a_random_part_of_a_doubling_wait(
    chance: float,
) -> None:
    scene = proven(replies(HTTP_502, HTTP_502, HTTP_502))
    scene.chance = chance

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": REMOVED}
    expected = [max(0.0, 0.2 * chance), 0.4 * chance, 0.8 * chance]
    assert waits(scene.started) == pytest.approx(expected)


def test_a_retry_waits_for_no_slot_that_other_calls_could_use() -> None:
    calls = iter(range(1_000_000))
    scene = proven(lambda *_: HTTP_502 if next(calls) % 2 else Reply())

    removal = scene.invoke(want(20_000))

    starts = [call.at for call in scene.started]
    assert all(ends == REMOVED for ends in states(removal).values())
    assert starts[200] - starts[0] == pytest.approx(200 * GAP)


def test_a_call_that_fails_while_others_succeed_is_split_and_one_user_is_returned() -> None:
    scene = proven(lambda users, _: HTTP_502 if "user-142" in dict(users) else Reply())

    removal = scene.invoke(want(1_000))

    back = {account for account, ends in states(removal).items() if ends == RETRY}
    assert back == {"user-142"}
    assert reasons(removal) == {"transient"}
    halvings, calls_each = 7, PART_FAILURES + 1
    assert len(scene.started) <= 10 + MAX_FAILURES - 1 + halvings * calls_each


@pytest.mark.parametrize("first", [0, 13, 37])
def test_no_innocent_user_stays_behind_when_two_in_a_hundred_always_fail(first: int) -> None:
    poison = {f"user-{number}" for number in range(first, 1_000, 50)}
    scene = Scene(refusing(poison, 91000, latency=0.1))

    removal = scene.invoke(want(1_000))

    back = {account for account, ends in states(removal).items() if ends != REMOVED}
    assert back == poison
    assert not removal.down


def test_listed_users_that_fail_transiently_are_retried_without_the_others() -> None:
    scene = Scene(replies(listing(["user-3", "user-5"], 91000)))

    removal = scene.invoke(want(10))

    assert [len(call.users) for call in scene.started] == [10, 2]
    assert scene.started[1].accounts == ["user-3", "user-5"]
    assert all(ends == REMOVED for ends in states(removal).values())


def test_listed_users_of_many_calls_are_retried_in_one() -> None:
    listed = {f"user-{number}" for number in range(0, 2_000, 100)}
    told: set[str] = set()

    def script(users: list[UserTags], _: object) -> Reply:
        once = (listed - told) & dict(users).keys()
        told.update(once)
        return listing(once, 60018, latency=0.1)

    scene = proven(script)

    removal = scene.invoke(want(5_000))

    assert all(ends == REMOVED for ends in states(removal).values())
    assert len(scene.started) == 51
    assert scene.started[-1].at - scene.started[0].at < 51 * GAP + TOGETHER_SECONDS


def test_listed_users_that_keep_failing_transiently_are_returned_alone() -> None:
    scene = Scene(lambda users, _: listing({"user-3"} & dict(users).keys(), 91000))

    removal = scene.invoke(want(10))

    assert [len(call.users) for call in scene.started] == [10] + [1] * (MAX_FAILURES - 1)
    assert {account for account, ends in states(removal).items() if ends != REMOVED} == {"user-3"}
    assert reasons(removal) == {"transient"}


@pytest.mark.parametrize("code", RATE_LIMITS)
def test_a_call_refused_by_rate_costs_some_slots_and_no_more(code: int) -> None:
    scene = proven(replies(Reply(latency=0.05), failing(code, latency=0.01)))

    removal = scene.invoke(want(5_000))

    starts = [call.at for call in scene.started]
    assert len(starts) == 51
    assert starts[-1] - starts[0] == pytest.approx((50 + SLOTS_SKIPPED) * GAP, abs=GAP)
    assert all(ends == REMOVED for ends in states(removal).values())
    assert removal.counts["RateLimited"] == 1


def test_a_rate_limit_that_nothing_passes_pauses_whole_seconds_and_then_holds() -> None:
    scene = proven(lambda *_: failing(60011, latency=0.1))

    removal = scene.invoke(want(5_000))

    late = [call.at for call in scene.started if call.at > scene.started[0].at + QUIET_SECONDS]
    assert all(sum(at <= one < at + QUIET_SECONDS for one in late) <= 4 for at in late)
    assert len(scene.started) < 40
    assert reasons(removal) == {"rate_limited"}
    assert not removal.down


def test_a_listed_user_over_the_rate_pauses_no_other_user() -> None:
    scene = proven(lambda users, _: listing({"user-0"} & dict(users).keys(), 60018, latency=0.1))

    removal = scene.invoke(want(5_000))

    assert scene.started[49].at - scene.started[0].at <= 52 * GAP
    assert ended(removal, "retry") == {"user-0-tag-0"}
    assert reasons(removal) == {"rate_limited"}


def test_a_kept_connection_that_died_is_repeated_at_once_and_is_no_failure() -> None:
    died = Reply(ConnectionReuseError("Dropped", "a kept connection died"), latency=0.0)
    scene = Scene(replies(died), share=25)

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": REMOVED}
    assert removal.counts == {"Calls": 2}
    assert waits(scene.started) == pytest.approx([1.01 / 25])


def test_a_kept_connection_that_dies_twice_is_a_transient_failure() -> None:
    died = Reply(ConnectionReuseError("Dropped", "a kept connection died"))
    scene = Scene(replies(died, died))

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": REMOVED}
    assert removal.counts == {"Calls": 3, "CallsFailed": 1}


def test_replies_that_make_no_sense_are_counted() -> None:
    odd = Reply(TransientError("OddReply", "ErrorList is no array"))
    scene = proven(replies(odd, odd))

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": REMOVED}
    assert removal.counts["OddReplies"] == 2
