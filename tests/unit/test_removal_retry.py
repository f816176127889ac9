"""Transient failures, rate limits, and TIMPush that is down."""

from itertools import pairwise

import pytest

from support.scene import (
    Reply,
    Scene,
    Started,
    failing,
    listing,
    proven,
    reasons,
    replies,
    states,
    succeed,
    want,
)
from timpush.errors import ConnectionReuseError, TransientError
from timpush.removal.plan import MAX_FAILURES as MAX_ATTEMPTS

RATE_LIMIT_PAUSE_SECONDS = 1.0

DOWN_AFTER = 5
RATE_LIMITS = [60007, 60011, 60018, 60019]
HTTP_502 = Reply(TransientError("HTTP502", "the status is not 200"))
REMOVED, HANDED_BACK = {"removed"}, {"retry"}


def waits(started: list[Started]) -> list[float]:
    """Seconds from each call's end to the next one's start."""
    return [after.at - before.ended for before, after in pairwise(started)]


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_a_transient_failure_is_retried_after_a_random_part_of_a_doubling_wait(
    chance: float,
) -> None:
    scene = Scene(replies(HTTP_502, HTTP_502, HTTP_502), chance=chance)

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": REMOVED}
    assert waits(scene.started) == pytest.approx([0.5 * chance, 1.0 * chance, 2.0 * chance])


def test_attempts_are_bounded_and_then_the_users_are_handed_back() -> None:
    scene = Scene(lambda *_: HTTP_502)

    removal = scene.invoke(want(100))

    assert len(scene.started) == MAX_ATTEMPTS
    assert set(map(tuple, states(removal).values())) == {("retry",)}
    assert reasons(removal) == {"transient"}
    assert removal.counts["CallsFailed"] == MAX_ATTEMPTS


def test_only_the_call_that_fails_is_retried_and_handed_back() -> None:
    scene = Scene(lambda users, _: HTTP_502 if users[0][0] == "user-100" else Reply())

    removal = scene.invoke(want(1_000))

    back = {account for account, ends in states(removal).items() if ends == HANDED_BACK}
    assert back == {f"user-{number}" for number in range(100, 200)}
    assert len(scene.started) == 9 + MAX_ATTEMPTS


def test_listed_users_that_fail_transiently_are_retried_without_the_others() -> None:
    scene = Scene(replies(listing(["user-3", "user-5"], 91000)))

    removal = scene.invoke(want(10))

    assert [len(call.users) for call in scene.started] == [10, 2]
    assert scene.started[1].accounts == ["user-3", "user-5"]
    assert all(ends == REMOVED for ends in states(removal).values())


def test_listed_users_that_keep_failing_transiently_are_handed_back_alone() -> None:
    scene = Scene(lambda *_: listing(["user-3"], 91000))

    removal = scene.invoke(want(10))

    assert [len(call.users) for call in scene.started] == [10] + [1] * (MAX_ATTEMPTS - 1)
    assert {account for account, ends in states(removal).items() if ends != REMOVED} == {"user-3"}
    assert reasons(removal) == {"transient"}


@pytest.mark.parametrize("code", RATE_LIMITS)
@pytest.mark.parametrize("listed", [True, False])
def test_a_rate_limit_pauses_every_call_of_the_environment(code: int, listed: bool) -> None:
    limited = listing(["user-0"], code, latency=0.1) if listed else failing(code, latency=0.1)
    scene = proven(replies(limited))

    removal = scene.invoke(want(5_000))

    told = scene.started[0].ended
    after = [call.at for call in scene.started if call.at >= told]
    assert after[0] >= told + RATE_LIMIT_PAUSE_SECONDS
    assert all(ends == REMOVED for ends in states(removal).values())
    assert removal.counts["RateLimited"] == 1


def test_one_listed_user_over_the_rate_is_enough_to_pause() -> None:
    mixed = listing(["user-0"], 91000).failures | listing(["user-1"], 60007).failures
    scene = proven(replies(Reply(failures=mixed)))

    removal = scene.invoke(want(2))

    assert removal.counts["RateLimited"] == 1
    assert waits(scene.started)[0] >= RATE_LIMIT_PAUSE_SECONDS


def test_a_rate_limit_that_lasts_is_handed_back_and_does_not_count_as_down() -> None:
    scene = Scene(lambda *_: failing(60007))

    removal = scene.invoke(want(300))

    assert len(scene.started) == 3 * MAX_ATTEMPTS
    assert reasons(removal) == {"rate_limited"}
    assert removal.stopped == ""


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


def test_no_call_starts_after_five_transient_failures_in_a_row() -> None:
    scene = proven(lambda *_: HTTP_502)

    removal = scene.invoke(want(10_000))

    ends = sorted(call.ended for call in scene.started)
    assert max(call.at for call in scene.started) <= ends[DOWN_AFTER - 1]
    assert len(scene.started) < 5 + 25
    assert reasons(removal) == {"down"}
    assert removal.stopped.startswith("down")


def test_retries_count_towards_down() -> None:
    scene = Scene(lambda *_: HTTP_502)

    scene.invoke(want(1_000))

    assert len(scene.started) == DOWN_AFTER


@pytest.mark.parametrize("between", [Reply(), failing(90034), failing(99999)])
def test_a_reply_between_means_that_timpush_is_not_down(between: Reply) -> None:
    calls = iter(range(1_000_000))
    scene = Scene(lambda *_: between if next(calls) % 5 == 4 else HTTP_502, share=1)

    removal = scene.invoke(want(900))

    assert not removal.stopped.startswith("down")
    assert len(scene.started) > 2 * DOWN_AFTER


def test_after_down_the_next_invocation_starts_with_one_call() -> None:
    scene = proven(lambda *_: HTTP_502)
    scene.invoke(want(10_000))
    scene.client.script = succeed

    removal = scene.invoke(want(10_000))

    probe, *others = scene.started
    assert others[0].at >= probe.ended
    assert others[4].at < others[0].ended, "then calls overlap again"
    assert all(ends == REMOVED for ends in states(removal).values())


def test_a_late_success_does_not_mean_that_timpush_is_up_again() -> None:
    answers = [Reply(latency=2.0)] + [HTTP_502] * DOWN_AFTER
    scene = proven(replies(*answers))
    assert len(reasons(scene.invoke(want(10_000)))) == 1

    scene.invoke(want(10_000))

    assert scene.started[1].at >= scene.started[0].ended


def test_while_down_each_invocation_sends_one_call_at_a_time() -> None:
    scene = Scene(lambda *_: HTTP_502)
    scene.invoke(want(10_000))

    removal = scene.invoke(want(10_000))

    assert len(scene.started) == DOWN_AFTER
    assert all(wait >= 0 for wait in waits(scene.started))
    assert reasons(removal) == {"down"}
