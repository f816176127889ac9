"""TIMPush down or misconfigured: the batch is held, and one call probes at growing intervals."""

import random
from itertools import pairwise

import pytest

from support.scene import (
    Reply,
    Scene,
    Script,
    ended,
    failing,
    proven,
    reasons,
    refusing,
    replies,
    states,
    succeed,
    want,
)
from timpush.errors import TransientError
from timpush.messages import UserTags
from timpush.removal.health import (
    DOWN_CALLS,
    DOWN_SECONDS,
    FIRST_PROBES,
    PROBE_JITTER,
    SAME_CODE_CALLS,
    SLOW_PROBE_SECONDS,
)
from timpush.removal.plan import MAX_FAILURES
from timpush.tencent.replies import Failures

HTTP_502 = Reply(TransientError("HTTP502", "the status is not 200"))
MISCONFIGURED, UNDOCUMENTED, UNPARSED = 60026, 99_999, 60002


def down(*_: object) -> Reply:
    return HTTP_502


def probes(scene: Scene) -> list[float]:
    """Seconds from the end of each call to the start of the next."""
    return [after.at - before.ended for before, after in pairwise(scene.started)]


def all_removed(scene: Scene, users: int) -> bool:
    removal = scene.invoke(want(users))
    return all(ends == {"removed"} for ends in states(removal).values())


def test_an_environment_that_never_reached_timpush_probes_at_growing_intervals() -> None:
    scene = Scene(down, chance=0.5)

    removal = scene.invoke(want(1_000))

    slow = SLOW_PROBE_SECONDS * (1 + PROBE_JITTER * 0.5)
    assert probes(scene)[:6] == pytest.approx([*FIRST_PROBES, slow])
    assert len(scene.started) == 1 + len(FIRST_PROBES) + 2
    assert reasons(removal) == {"down"}
    assert removal.stopped.startswith("down: HTTP502")
    assert removal.down


def test_it_keeps_its_batch_until_only_the_time_to_settle_is_left() -> None:
    scene = Scene(down)
    began = scene.time.clock()

    scene.invoke(want(1), seconds=50.0)

    assert 46.0 <= scene.time.clock() - began <= 50.0


def test_an_outage_in_the_middle_is_found_out_by_a_span_of_time_and_calls() -> None:
    scene = proven(down)

    removal = scene.invoke(want(100_000))

    first = scene.started[0].ended
    fast = [call for call in scene.started if call.at < first + DOWN_SECONDS]
    assert DOWN_CALLS <= len(fast) <= 25 * (DOWN_SECONDS + 1)
    assert len(scene.started) - len(fast) <= 10, "then it probes"
    assert removal.down
    assert reasons(removal) == {"down"}


def test_after_the_outage_it_goes_on_at_full_pace_with_the_time_left() -> None:
    scene = proven(down)
    until = scene.time.clock() + 30

    def script(*_: object) -> Reply:
        return HTTP_502 if scene.time.clock() < until else Reply(latency=0.1)

    scene.client.script = script
    removal = scene.invoke(want(100_000))

    good = [call.at for call in scene.started if call.reply.error is None]
    assert good[0] - until <= 16 + 1
    assert all(ends == {"removed"} for ends in states(removal).values())
    assert good[500] - good[1] == pytest.approx(499 * 1.01 / 25, rel=0.02)


def test_the_next_invocation_starts_with_a_slow_probe() -> None:
    scene = Scene(down)
    scene.invoke(want(1_000))
    last = scene.started[-1].ended

    scene.invoke(want(1_000))

    assert scene.started[0].at >= last + SLOW_PROBE_SECONDS
    assert min(probes(scene)) >= SLOW_PROBE_SECONDS


def test_over_hours_a_worker_calls_at_most_once_in_twenty_seconds() -> None:
    scene = Scene(down)
    began = scene.time.clock()

    while scene.time.clock() < began + 4 * 3_600:
        scene.invoke(want(1_000))

    assert len(scene.client.started) <= 4 * 3_600 / 20


def test_a_success_ends_it_for_the_next_invocation_too() -> None:
    scene = Scene(down)
    scene.invoke(want(100))
    scene.client.script = succeed
    assert all_removed(scene, 10_000)

    assert all_removed(scene, 10_000)
    assert len(scene.started) == 100


def test_a_reply_from_before_the_outage_does_not_end_it() -> None:
    calls = iter(range(1_000_000))
    scene = proven(lambda *_: Reply(latency=3.4) if next(calls) == 0 else failing(91000))

    removal = scene.invoke(want(20_000))

    found = next(b.at for a, b in pairwise(scene.started) if b.at - a.at >= 0.9)
    after = [call.at for call in scene.started if call.at >= found]
    assert min(b - a for a, b in pairwise(after)) >= 1.0
    assert removal.down


@pytest.mark.parametrize("part", [0.2, 0.5, 0.7])
def test_a_service_that_fails_often_is_not_down(part: float) -> None:
    rng = random.Random(1)
    scene = proven(lambda *_: HTTP_502 if rng.random() < part else Reply(latency=0.1))

    removal = scene.invoke(want(50_000))

    assert not removal.down
    assert len(ended(removal, "removed")) > 49_500 * min(1.0, 1.3 - part)


def test_one_user_whose_calls_always_fail_does_not_look_like_an_outage() -> None:
    scene = Scene(refusing(["user-7"], 91000))

    removal = scene.invoke(want(100))

    back = {account for account, ends in states(removal).items() if ends != {"removed"}}
    assert back == {"user-7"}
    assert reasons(removal) == {"transient"}
    assert scene.started[-1].ended - scene.started[0].at < 30


def test_a_lone_call_that_fails_is_kept_not_returned() -> None:
    scene = proven(replies(*[HTTP_502] * (MAX_FAILURES + 3)))

    removal = scene.invoke(want(1))

    assert states(removal) == {"user-0": {"removed"}}


@pytest.mark.parametrize(("code", "reason"), [(MISCONFIGURED, "configuration")])
def test_a_configuration_error_holds_the_batch_and_says_what_it_means(
    code: int, reason: str
) -> None:
    scene = proven(lambda *_: failing(code))

    removal = scene.invoke(want(10_000))

    told = scene.started[0].ended
    assert len([call for call in scene.started if call.at > told]) <= 9
    assert reasons(removal) == {reason}
    assert str(code) in removal.stopped
    assert "another site" in removal.stopped
    assert not removal.down


def test_after_a_configuration_error_one_call_shows_that_it_is_fixed() -> None:
    scene = proven(replies(failing(MISCONFIGURED)))

    removal = scene.invoke(want(10_000))

    assert all(ends == {"removed"} for ends in states(removal).values())


CAUSES: list[Script] = [
    lambda *_: failing(UNDOCUMENTED, latency=0.1),
    lambda *_: failing(0, latency=0.1),
    lambda *_: failing(UNPARSED, latency=0.1),
]


@pytest.mark.parametrize("script", CAUSES, ids=["undocumented", "0", "unparsed"])
@pytest.mark.parametrize("users", [50, 1_000])
def test_a_code_on_every_call_stops_the_search_after_some_ten_calls(
    script: Script, users: int
) -> None:
    scene = proven(script)

    removal = scene.invoke(want(users))

    first = [call for call in scene.started if call.at < scene.started[0].at + 3]
    assert SAME_CODE_CALLS <= len(first) <= SAME_CODE_CALLS + 6
    assert len(scene.started) <= SAME_CODE_CALLS + 6 + 9
    assert len(removal.ledger.outcomes([(f"user-{n}", [f"user-{n}-tag-0"]) for n in range(users)]))
    assert reasons(removal) <= {"unknown", "configuration"}


def test_a_url_that_cannot_be_parsed_for_one_user_is_that_user_s() -> None:
    scene = proven(refusing(["user-31"], UNPARSED))

    removal = scene.invoke(want(100))

    ends = states(removal)
    assert ends.pop("user-31") == {"rejected"}
    assert all(end == {"removed"} for end in ends.values())
    assert removal.ledger.outcome("user-31", "user-31-tag-0").code == UNPARSED


def test_every_user_listed_with_an_internal_error_is_no_answer() -> None:
    def script(users: list[UserTags], _: object) -> Reply:
        return Reply(failures=failures(users), latency=0.1)

    def failures(users: list[UserTags]) -> Failures:
        return {account: TransientError(91000, "") for account, _ in users}

    scene = proven(script)

    removal = scene.invoke(want(100_000))

    assert removal.down
    assert len(scene.started) < 120
