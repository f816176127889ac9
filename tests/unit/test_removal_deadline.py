"""The deadline of an invocation, and `NotAfter`, the deadline of a message."""

import math

import pytest

from support.scene import (
    Reply,
    Scene,
    ended,
    failing,
    proven,
    reasons,
    refusing,
    replies,
    states,
    want,
)
from timpush.messages import Document
from timpush.outcomes import EXPIRED
from timpush.tencent.client import CALL_SECONDS

NEVER = Reply(latency=math.inf)
BAD_TAG = 90034


def document(not_after: float | None, *accounts: str) -> Document:
    return Document([(account, [f"{account}-tag"]) for account in accounts], not_after)


class TestInvocation:
    @pytest.mark.parametrize("seconds", [4.0, 7.5, 60.0])
    def test_replies_that_never_come_do_not_hold_it_beyond_its_deadline(
        self, seconds: float
    ) -> None:
        scene = proven(lambda *_: NEVER)

        removal = scene.invoke(want(10_000), seconds)

        assert len(ended(removal, "retry")) == 10_000
        assert reasons(removal) == {"deadline"}
        assert removal.counts["CallsFailed"] == len(scene.started) > 0

    def test_a_first_call_that_hangs_does_not_hold_it_either(self) -> None:
        scene = Scene(lambda *_: NEVER)

        removal = scene.invoke(want(10_000), seconds=20)

        assert len(scene.started) == 1
        assert reasons(removal) == {"deadline"}

    def test_what_was_not_sent_in_time_is_left(self) -> None:
        scene = proven(lambda *_: Reply(), share=1)

        removal = scene.invoke(want(5_000), seconds=10)

        assert 5 <= len(scene.started) <= 7
        assert len(ended(removal, "removed")) == 100 * len(scene.started)
        assert reasons(removal) == {"deadline"}

    def test_too_little_time_for_a_call_means_none_and_no_look_at_the_secret(self) -> None:
        scene = Scene()

        removal = scene.invoke(want(1), seconds=CALL_SECONDS)

        assert scene.started == []
        assert scene.secrets.read_at == []
        assert reasons(removal) == {"deadline"}

    def test_replies_that_arrive_after_the_last_start_still_count(self) -> None:
        scene = proven(lambda *_: Reply(latency=3.4))

        removal = scene.invoke(want(100), seconds=3.6)

        assert len(ended(removal, "removed")) == 100
        assert removal.stopped == ""

    def test_a_retry_that_would_start_too_late_is_left(self) -> None:
        scene = proven(replies(failing(91000), failing(91000), failing(91000)))
        scene.chance = 0.999

        removal = scene.invoke(want(1), seconds=CALL_SECONDS + 1)

        assert len(scene.started) == 2
        assert reasons(removal) == {"deadline"}

    def test_a_search_that_runs_out_of_time_leaves_the_rest(self) -> None:
        scene = proven(refusing(["user-0"], BAD_TAG), share=1)

        removal = scene.invoke(want(100), seconds=9)

        assert states(removal)["user-0"] == {"retry"}
        assert ended(removal, "removed")
        assert reasons(removal) == {"deadline"}

    def test_nothing_wanted_is_settled_without_a_call_or_a_look_at_the_secret(self) -> None:
        scene = Scene()

        removal = scene.invoke([])

        assert scene.started == []
        assert scene.secrets.read_at == []
        assert removal.stopped == ""


class TestNotAfter:
    def test_a_removal_wanted_until_now_is_made(self) -> None:
        scene = Scene()
        # the first call starts one gap after the invocation began
        until = scene.time.now() + 1.01 / 25

        removal = scene.invoke([document(until, "ann")])

        assert states(removal) == {"ann": {"removed"}}

    def test_a_removal_that_is_too_late_already_is_dead_lettered_without_a_call(self) -> None:
        scene = Scene()

        removal = scene.invoke([document(scene.time.now() - 1, "ann")])

        assert scene.started == []
        assert removal.ledger.outcome("ann", "ann-tag") == EXPIRED

    def test_it_is_dead_lettered_even_when_no_call_can_be_made(self) -> None:
        scene = Scene()
        scene.secrets.value = "{}"

        removal = scene.invoke([document(scene.time.now() - 1, "ann"), document(None, "bob")])

        assert states(removal) == {"ann": {"rejected"}, "bob": {"retry"}}

    def test_it_may_pass_while_the_call_waits_for_its_turn(self) -> None:
        scene = proven(lambda *_: Reply(), share=1)
        until = scene.time.now() + 3
        late, others = [f"late-{number}" for number in range(5)], [f"u{n}" for n in range(500)]

        removal = scene.invoke([document(None, *others), document(until, *late)])

        assert {one for one, ends in states(removal).items() if ends == {"rejected"}} == set(late)
        assert not any("late-0" in call.accounts for call in scene.started)

    def test_it_may_pass_between_two_attempts(self) -> None:
        scene = Scene(replies(failing(91000)), chance=0.999)
        until = scene.time.now() + 0.6

        removal = scene.invoke([document(until, "ann"), document(None, "bob")])

        assert [call.accounts for call in scene.started] == [["ann", "bob"], ["bob"]]
        assert states(removal) == {"ann": {"rejected"}, "bob": {"removed"}}

    def test_it_may_pass_within_a_search(self) -> None:
        scene = proven(refusing(["u0"], BAD_TAG), share=1)
        others = [f"u{number}" for number in range(99)]
        until = scene.time.now() + 3

        removal = scene.invoke([document(None, *others), document(until, "late")])

        assert removal.ledger.outcome("late", "late-tag") == EXPIRED
        assert removal.ledger.outcome("u0", "u0-tag").code == BAD_TAG

    def test_a_tag_that_a_live_message_wants_too_is_removed_for_both(self) -> None:
        scene = Scene()

        removal = scene.invoke([document(scene.time.now() - 1, "ann"), document(None, "ann")])

        assert states(removal) == {"ann": {"removed"}}

    def test_of_one_users_tags_only_the_late_one_is_dead_lettered(self) -> None:
        scene = Scene()
        late = Document([("ann", ["old"])], scene.time.now() - 1)

        removal = scene.invoke([late, Document([("ann", ["new"])])])

        assert [call.users for call in scene.started] == [[("ann", ["new"])]]
        assert removal.ledger.outcome("ann", "old") == EXPIRED
        assert removal.ledger.outcome("ann", "new").state == "removed"
