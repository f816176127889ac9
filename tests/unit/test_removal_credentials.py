"""A UserSig that is refused, new, expired or cannot be read."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from botocore.exceptions import ConnectTimeoutError

from support.scene import (
    Reply,
    Scene,
    Script,
    failing,
    proven,
    reasons,
    replies,
    secret,
    states,
    succeed,
    usersig,
    want,
)
from timpush.errors import TransientError
from timpush.removal.engine import Removal
from timpush.removal.signing import REFUSED_SECONDS, REREAD_SECONDS

FIRST, SECOND = usersig("first"), usersig("second")
REFUSED = 70009


def refusing_usersigs(refused: Iterable[str], latency: float = 0.3) -> Script:
    bad = frozenset(refused)
    return lambda _, credential: (
        failing(REFUSED, latency=latency) if credential.usersig in bad else Reply(latency=latency)
    )


def all_removed(removal: Removal) -> bool:
    return set(map(tuple, states(removal).values())) == {("removed",)}


def all_retried(removal: Removal) -> bool:
    return set(map(tuple, states(removal).values())) == {("retry",)}


def test_a_usersig_that_has_not_succeeded_yet_is_tried_by_one_call_first() -> None:
    scene = Scene()

    removal = scene.invoke(want(10_000))

    probe, *others = scene.started
    assert others[0].at >= probe.ended
    assert others[4].at < others[0].ended, "then calls overlap"
    assert all_removed(removal)
    assert len(scene.secrets.read_at) == 1


def test_a_call_refused_for_its_input_proves_the_usersig_too() -> None:
    scene = Scene(replies(failing(90034)))

    scene.invoke(want(10_000))

    assert scene.started[5].at < scene.started[1].ended, "then calls overlap"


def test_a_replaced_secret_is_read_once_and_every_refused_call_repeated_with_it() -> None:
    scene = proven(refusing_usersigs([FIRST], latency=1.2))
    scene.secrets.value = secret(SECOND)

    removal = scene.invoke(want(10_000))

    refused = [call for call in scene.started if call.usersig == FIRST]
    probe, *others = [call for call in scene.started if call.usersig == SECOND]
    assert 25 <= len(refused) <= 31, "as many as were in flight"
    assert len(scene.secrets.read_at) == 2
    assert probe.at >= max(call.ended for call in refused), "the new one goes first, alone"
    assert others[0].at >= probe.ended
    assert all_removed(removal)
    assert removal.counts["CredentialErrors"] == len(refused)


def test_a_usersig_that_worked_a_moment_ago_is_tried_once_more_before_it_counts_as_refused() -> (
    None
):
    scene = proven(replies(Reply(), failing(REFUSED)))

    removal = scene.invoke(want(10_000))

    again = [call for call in scene.started if call.at >= scene.started[1].ended]
    assert again[1].at >= again[0].ended, "one call first"
    assert all_removed(removal)
    assert scene.started[-1].at - scene.started[0].at < 100 / 25 + 2
    assert len(scene.secrets.read_at) == 2


@pytest.mark.parametrize("users", [1, 10_000])
def test_a_refused_usersig_that_is_still_the_secret_holds_the_batch(users: int) -> None:
    scene = proven(refusing_usersigs([FIRST], latency=1.2))
    began = scene.time.clock()

    removal = scene.invoke(want(users))

    told = min(call.ended for call in scene.started)
    after = [call.at for call in scene.started if call.at >= told]
    assert len(after) == 2, "once more at once, then once a minute"
    assert after[1] >= after[0] + REFUSED_SECONDS
    assert scene.time.clock() - began > 100
    assert all_retried(removal)
    assert reasons(removal) == {"credentials"}
    assert "70009" in removal.stopped


def test_while_the_usersig_is_refused_the_secret_is_read_often_but_not_more() -> None:
    scene = proven(refusing_usersigs([FIRST]))

    scene.invoke(want(100))

    gaps = [after - before for before, after in pairwise(scene.secrets.read_at[1:])]
    assert max(gaps) <= REREAD_SECONDS
    assert len(gaps) <= 110 / REREAD_SECONDS + 2


@pytest.mark.parametrize("stored_after", [1.0, 14.0, 31.0, 59.0, 75.0])
def test_a_usersig_that_is_stored_meanwhile_is_found_and_sent_at_once(stored_after: float) -> None:
    scene = proven(refusing_usersigs([FIRST]))
    stored_at = scene.time.clock() + stored_after
    scene.secrets.at(stored_at, secret(SECOND))

    removal = scene.invoke(want(10_000))

    good = [call for call in scene.started if call.usersig == SECOND]
    assert stored_at <= good[0].at <= stored_at + REREAD_SECONDS + 1
    assert good[5].at < good[1].ended, "then calls overlap"
    assert all_removed(removal)


def test_a_new_usersig_that_is_refused_too_is_sent_once_a_minute() -> None:
    scene = proven(refusing_usersigs([FIRST, SECOND]))
    scene.secrets.value = secret(SECOND)

    removal = scene.invoke(want(10_000))

    sent = [call.at for call in scene.started if call.usersig == SECOND]
    assert len(sent) == 2
    assert sent[1] >= sent[0] + REFUSED_SECONDS
    assert reasons(removal) == {"credentials"}


@pytest.mark.parametrize(
    "value", [secret("no UserSig"), "{}", "", ConnectTimeoutError(endpoint_url="https://x")]
)
def test_a_secret_that_cannot_be_used_is_read_again_until_it_can(
    value: str | Exception,
) -> None:
    scene = Scene()
    scene.secrets.value = value
    fixed_at = scene.time.clock() + 40
    scene.secrets.at(fixed_at, secret(SECOND))

    removal = scene.invoke(want(300))

    assert fixed_at <= scene.started[0].at <= fixed_at + REREAD_SECONDS + 1
    assert len(scene.secrets.read_at) == 4
    assert removal.counts["CredentialErrors"] == 3
    assert all_removed(removal)


@pytest.mark.parametrize("value", [secret("no UserSig"), "{}"])
def test_a_secret_that_cannot_be_used_at_all_means_no_call(value: str) -> None:
    scene = Scene()
    scene.secrets.value = value

    removal = scene.invoke(want(300))

    assert scene.started == []
    assert reasons(removal) == {"credentials"}


def test_a_secret_that_cannot_be_read_again_holds_all_calls() -> None:
    scene = proven(refusing_usersigs([FIRST]))
    scene.secrets.value = "{}"

    removal = scene.invoke(want(300))

    assert reasons(removal) == {"credentials"}
    scene.secrets.value = secret(SECOND)
    assert all_removed(scene.invoke(want(300))), "and it recovers"


def test_a_refused_usersig_is_probed_at_most_once_a_minute() -> None:
    scene = Scene(refusing_usersigs([FIRST]))

    for _ in range(300):
        assert all_retried(scene.invoke(want(101)))
        scene.time.spend(1.9)

    starts = [call.at for call in scene.client.started]
    gaps = [after - before for before, after in pairwise(starts)]
    assert min(gaps) >= REFUSED_SECONDS
    assert len(starts) >= 8, "yet it is probed"


@pytest.mark.parametrize(
    "answer",
    [Reply(TransientError("HTTP502", "no")), failing(60007), failing(99999), failing(REFUSED)],
)
def test_a_refused_usersig_is_sent_once_a_minute_whatever_else_is_wrong(answer: Reply) -> None:
    scene = Scene(refusing_usersigs([FIRST]))
    scene.invoke(want(300))
    scene.client.script = lambda *_: answer

    for _ in range(5):
        assert all_retried(scene.invoke(want(300), seconds=10.0))

    starts = [call.at for call in scene.client.started]
    assert min(after - before for before, after in pairwise(starts)) >= REFUSED_SECONDS


def test_a_probe_that_succeeds_ends_the_refusal() -> None:
    scene = proven(refusing_usersigs([FIRST]))
    scene.invoke(want(300))
    scene.client.script = succeed
    scene.time.spend(REFUSED_SECONDS)

    assert all_removed(scene.invoke(want(300)))
    assert all_removed(scene.invoke(want(300)))


def test_a_replaced_secret_ends_the_refusal_at_once() -> None:
    scene = Scene(refusing_usersigs([FIRST]))
    scene.invoke(want(300))
    scene.secrets.value = secret(SECOND)

    assert all_removed(scene.invoke(want(300)))
    assert {call.usersig for call in scene.started} == {SECOND}


def test_a_usersig_that_expires_between_invocations_is_replaced_before_any_call() -> None:
    scene = Scene()
    scene.secrets.value = secret(usersig("first", validity=60))
    scene.invoke(want(300))
    scene.secrets.value = secret(SECOND)
    scene.time.spend(60)

    assert all_removed(scene.invoke(want(300)))
    assert {call.usersig for call in scene.started} == {SECOND}


@pytest.mark.parametrize("renewed", [True, False])
def test_a_usersig_that_expires_within_an_invocation_is_sent_no_more(renewed: bool) -> None:
    scene = Scene(share=1)
    scene.secrets.value = secret(usersig("first", validity=10))
    scene.time.spend(0.5)
    soon = scene.time.clock() + 9.5

    def script(*_: object) -> Reply:
        if renewed:
            scene.secrets.value = secret(SECOND)
        return Reply()

    scene.client.script = script
    removal = scene.invoke(want(2_000))

    late = {call.usersig for call in scene.started if call.at > soon}
    assert late == ({SECOND} if renewed else set())
    assert all_removed(removal) == renewed
    assert reasons(removal) == (set() if renewed else {"credentials"})


def test_reading_a_slow_secret_again_does_not_outlast_the_deadline() -> None:
    scene = proven(refusing_usersigs([FIRST], latency=3.4))
    scene.secrets.seconds = 7.0

    removal = scene.invoke(want(1), seconds=3.6)

    assert reasons(removal) == {"deadline"}
