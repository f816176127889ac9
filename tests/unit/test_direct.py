"""One call and no more: when it is made, with which UserSig, and what is left for the queue."""

import threading
from collections.abc import Iterator

import pytest

from support.scene import (
    UNIX_START,
    Reply,
    Scene,
    Script,
    failing,
    listing,
    refusing,
    replies,
    secret,
    succeed,
    usersig,
)
from timpush.errors import (
    InputError,
    SecretError,
    TransientError,
)
from timpush.messages import UserTags
from timpush.removal.single import Caller, Removed, remove_now
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.codes import CODES, call_error
from timpush.tencent.replies import Failures

USERS: list[UserTags] = [("a", ["gold"]), ("b", ["gold"]), ("c", ["gold"])]
UNKNOWN_CODE = 61234
REFUSED = failing(70009)


class Desk:
    """The endpoint's side of a scene: requests one after the other."""

    def __init__(self, script: Script = succeed) -> None:
        self.scene = Scene(script)
        environment = self.scene.environment
        self.caller = Caller(
            environment.client,
            environment.credentials,
            clock=environment.clock,
            now=environment.now,
        )

    def remove(
        self,
        users: list[UserTags] | None = None,
        not_after: float | None = None,
        seconds: float = 22.0,
    ) -> Removed:
        """One request; the call may take so many seconds."""
        deadline = self.scene.time.clock() + seconds
        return remove_now(users or USERS, not_after, self.caller, deadline)

    @property
    def calls(self) -> int:
        return len(self.scene.client.started)

    @property
    def reads(self) -> int:
        return len(self.scene.secrets.read_at)


def states(removed: Removed) -> dict[str, str]:
    return {account: outcome.state for account, outcome in removed.outcomes.items()}


def test_one_call_holds_all_the_users() -> None:
    desk = Desk()
    assert states(desk.remove()) == {"a": "removed", "b": "removed", "c": "removed"}
    (call,) = desk.scene.client.started
    assert call.users == USERS


@pytest.mark.parametrize("code", [*CODES, UNKNOWN_CODE])
def test_a_listed_user_is_failed_only_when_it_is_hopeless(code: int) -> None:
    desk = Desk(lambda *_: listing(["b"], code))
    hopeless = isinstance(call_error(code, ""), InputError)
    expected = "rejected" if hopeless else "retry"
    assert states(desk.remove()) == {"a": "removed", "b": expected, "c": "removed"}


@pytest.mark.parametrize("code", [code for code in CODES if CODES[code][0] is InputError])
def test_a_listed_user_is_failed_for_its_input_whatever_its_tags(code: int) -> None:
    desk = Desk(lambda *_: listing(["b"], code))
    removed = desk.remove([("a", ["gold"]), ("b", ["gold", "week-pass"])])
    assert states(removed) == {"a": "removed", "b": "rejected"}


@pytest.mark.parametrize("code", [*CODES, UNKNOWN_CODE])
def test_no_user_is_failed_by_a_call_of_several_users(code: int) -> None:
    desk = Desk(lambda *_: failing(code))
    removed = desk.remove()
    assert set(states(removed).values()) == {"retry"}
    assert removed.error is not None
    assert desk.calls == 1


@pytest.mark.parametrize("code", [*CODES, UNKNOWN_CODE])
def test_a_user_alone_is_failed_by_what_is_known_to_be_hopeless(code: int) -> None:
    desk = Desk(lambda *_: failing(code))
    removed = desk.remove([("a", ["gold", "week-pass"])])
    hopeless = isinstance(call_error(code, ""), InputError)
    assert states(removed) == {"a": "rejected" if hopeless else "retry"}


def test_a_failed_outcome_has_the_code_and_the_text_of_tencent() -> None:
    desk = Desk(refusing(["gold"], 90034))
    outcome = desk.remove([("a", ["gold"])]).outcomes["a"]
    assert (outcome.code, outcome.text) == (90034, "said TIMPush")


@pytest.mark.parametrize(("seconds_left", "calls"), [(-1, 0), (0, 1), (1, 1)])
def test_no_call_is_made_after_not_after(seconds_left: int, calls: int) -> None:
    desk = Desk()
    removed = desk.remove(not_after=UNIX_START + seconds_left)
    assert desk.calls == calls
    assert set(states(removed).values()) == {"removed" if calls else "rejected"}


@pytest.mark.parametrize(("spare", "calls"), [(-0.01, 0), (0.0, 1)])
def test_no_call_is_made_that_cannot_end_in_time(spare: float, calls: int) -> None:
    desk = Desk()
    removed = desk.remove(seconds=CALL_SECONDS + spare)
    assert desk.calls == calls
    assert set(states(removed).values()) == {"removed" if calls else "retry"}


def test_time_that_the_secret_took_is_gone() -> None:
    desk = Desk()
    desk.scene.secrets.seconds = 6.0
    assert desk.remove(seconds=CALL_SECONDS + 5).error is not None
    assert desk.calls == 0


def test_not_after_is_checked_once_more_when_the_secret_took_its_time() -> None:
    desk = Desk()
    desk.scene.secrets.seconds = 6.0
    removed = desk.remove(not_after=UNIX_START + 3)
    assert desk.calls == 0
    assert set(states(removed).values()) == {"rejected"}


class TestRefusedUserSig:
    def test_that_worked_a_moment_ago_is_tried_once_more(self) -> None:
        desk = Desk(replies(Reply(), REFUSED))
        made = []
        for _ in range(4):
            desk.remove()
            made.append(desk.calls)
        assert made == [1, 2, 3, 4]
        assert desk.reads == 2, "it is read again before it is sent again"

    def test_is_tried_again_once_a_minute(self) -> None:
        desk = Desk(lambda *_: REFUSED)
        made = []
        for _ in range(13):
            desk.remove()
            made.append(desk.calls)
            desk.scene.time.spend(10)
        assert made == [1] * 6 + [2] * 6 + [3]

    def test_is_looked_for_anew_by_each_request(self) -> None:
        desk = Desk(lambda *_: REFUSED)
        desk.remove()
        before = desk.reads
        removed = desk.remove()
        assert desk.reads == before + 1
        assert isinstance(removed.error, SecretError)
        assert removed.counts["CredentialErrors"] == 1

    def test_gives_way_to_a_new_one_at_once(self) -> None:
        desk = Desk(replies(REFUSED))
        desk.remove()
        desk.scene.secrets.value = secret(usersig("second"))
        assert set(states(desk.remove()).values()) == {"removed"}
        used = [call.usersig for call in desk.scene.client.started]
        assert used == [usersig("first"), usersig("second")]

    @pytest.mark.parametrize("answer", [Reply(), failing(90034)], ids=["success", "input"])
    def test_that_is_taken_after_all_is_good_again(self, answer: Reply) -> None:
        desk = Desk(replies(REFUSED, answer))
        desk.remove()
        desk.scene.time.spend(60)
        desk.remove()
        reads = desk.reads
        assert set(states(desk.remove()).values()) == {"removed"}
        assert (desk.calls, desk.reads) == (3, reads)

    def test_is_not_taken_for_good_by_a_call_that_proves_nothing(self) -> None:
        desk = Desk(replies(REFUSED, failing(70169)))
        desk.remove()
        desk.scene.time.spend(60)
        desk.remove()
        desk.remove()
        assert desk.calls == 2


class SilentClient(TimPushClient):
    """Its call lasts until `reply` is set; meanwhile the clock reaches `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.reply = threading.Event()
        self.time = 0.0
        self._seconds = seconds

    def clock(self) -> float:
        return self.time

    def remove_tag(self, *_: object) -> Failures:
        self.reply.wait(60)
        return {}

    def drop_idle_connections(self) -> None:
        """Called right before the call: the time that it will take passes here."""
        self.time = self._seconds


@pytest.fixture
def silent() -> Iterator[SilentClient]:
    client = SilentClient(22.0)
    yield client
    client.reply.set()


def test_a_call_that_outlasts_its_deadline_is_left_behind(silent: SilentClient) -> None:
    # Given a clock by which the time is up once the call was started
    credentials = Scene().environment.credentials
    caller = Caller(silent, credentials, clock=silent.clock, now=lambda: UNIX_START)
    # When the call does not end
    removed = remove_now(USERS, None, caller, 22.0)
    # Then the users are left for the queue
    assert set(states(removed).values()) == {"retry"}
    assert isinstance(removed.error, TransientError)
    assert (removed.counts["Calls"], removed.counts["CallsFailed"]) == (1, 1)


@pytest.mark.parametrize(
    ("script", "counts"),
    [
        (succeed, {"Calls": 1}),
        (lambda *_: failing(70169), {"Calls": 1, "CallsFailed": 1}),
        (lambda *_: failing(60007), {"Calls": 1, "CallsFailed": 1, "RateLimited": 1}),
        (lambda *_: listing(["a", "b"], 60007), {"Calls": 1, "RateLimited": 1}),
        (lambda *_: REFUSED, {"Calls": 1, "CallsFailed": 1, "CredentialErrors": 1}),
    ],
)
def test_calls_are_counted_by_what_became_of_them(script: Script, counts: dict[str, int]) -> None:
    assert {name: n for name, n in Desk(script).remove().counts.items() if n} == counts
