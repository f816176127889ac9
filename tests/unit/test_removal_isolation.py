"""Calls that fail as a whole because of one user or tag: what fails is found and dead-lettered."""

import math
from collections.abc import Callable

import pytest

from support.scene import (
    Reply,
    Scene,
    ended,
    failing,
    listing,
    outcomes,
    proven,
    reasons,
    refusing,
    states,
    want,
)
from timpush.messages import UserTags
from timpush.outcomes import Wanted
from timpush.removal.engine import Removal
from timpush.removal.refused_tags import SAMPLES

LONG_TAG, UNKNOWN_ACCOUNT, NO_SUCH_CODE = 90034, 70107, 99999
MOST_EXTRA_CALLS = 14


def rejected(removal: Removal) -> set[str]:
    return ended(removal, "rejected")


def handed_back(removal: Removal) -> set[str]:
    return ended(removal, "retry")


@pytest.mark.parametrize("position", range(100))
def test_one_failing_user_among_a_hundred_costs_at_most_fourteen_extra_calls(position: int) -> None:
    scene = proven(refusing([f"user-{position}"], LONG_TAG))

    removal = scene.invoke(want(100))

    assert rejected(removal) == {f"user-{position}-tag-0"}
    assert handed_back(removal) == set()
    assert len(scene.started) - 1 <= MOST_EXTRA_CALLS


@pytest.mark.parametrize("position", range(10))
def test_one_failing_tag_among_ten_of_a_user_is_dead_lettered_alone(position: int) -> None:
    bad = f"user-7-tag-{position}"
    scene = proven(refusing([bad], LONG_TAG))

    removal = scene.invoke(want(100, tags=10))

    assert rejected(removal) == {bad}
    assert len(ended(removal, "removed")) == 999


def test_failing_users_in_several_calls_are_dead_lettered_and_everyone_else_is_removed() -> None:
    bad = {f"user-{number}" for number in (0, 99, 100, 250, 251, 499, 760, 999)}
    scene = proven(refusing(bad, LONG_TAG))

    removal = scene.invoke(want(1_000))

    assert rejected(removal) == {f"{account}-tag-0" for account in bad}
    assert len(ended(removal, "removed")) == 1_000 - len(bad)


def test_several_failing_tags_of_several_users_are_dead_lettered_and_no_other() -> None:
    bad = {"user-3-tag-0", "user-3-tag-9", "user-4-tag-12", "user-50-tag-5", "user-50-tag-24"}
    scene = proven(refusing(bad, LONG_TAG))

    removal = scene.invoke(want(60, tags=25))

    assert rejected(removal) == bad
    assert len(ended(removal, "removed")) == 60 * 25 - len(bad)


def test_a_rejected_tag_holds_the_code_and_the_text() -> None:
    scene = proven(refusing(["user-1"], LONG_TAG))

    removal = scene.invoke(want(3))

    assert [one[1:] for one in outcomes(removal) if one[2].state == "rejected"] == [
        ("user-1-tag-0", ("rejected", LONG_TAG, "said TIMPush"))
    ]


def test_a_call_of_one_failing_tag_costs_no_extra_call() -> None:
    scene = Scene(refusing(["user-0"], LONG_TAG))

    removal = scene.invoke(want(1))

    assert rejected(removal) == {"user-0-tag-0"}
    assert len(scene.started) == 1


FLOODS: dict[str, Callable[[int], bool]] = {
    "one in ten": lambda number: number % 10 == 0,
    "one in a hundred": lambda number: number % 100 == 37,
    "all": lambda _: True,
}


@pytest.mark.parametrize(
    ("share", "latency"), [(1, 0.3), (10, 1.0), (25, 0.3), (25, 1.0), (50, 3.0)]
)
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_bad_input_leaves_every_other_call_its_turn_and_each_invocation_finds_some(
    flood: str, share: int, latency: float
) -> None:
    everyone = want(10_000)
    bad = {f"user-{number}" for number in range(10_000) if FLOODS[flood](number)}
    scene = proven(refusing(bad, LONG_TAG, latency), share)

    removal = scene.invoke(everyone)

    alone = {one.accounts[0] for one in scene.started if one.reply.error and len(one.users) == 1}
    assert alone, "a search came to its end"
    assert rejected(removal) == {f"{one}-tag-0" for one in alone}
    assert reasons(removal) <= {"deadline"}
    wide = [number for number, one in enumerate(scene.started) if len(one.users) == 100]
    assert len(wide) == min(100, (len(scene.started) + 1) // 2) or wide[-1] <= 2 * len(wide)


def test_a_flood_is_worked_off_by_one_invocation_after_the_other() -> None:
    bad = {f"user-{number}" for number in range(0, 2_000, 10)}
    scene = proven(refusing(bad, LONG_TAG))
    left: Wanted = want(2_000)
    found: set[str] = set()

    for _ in range(20):
        removal = scene.invoke(left)
        found |= rejected(removal)
        left = {one: left[one] for one, ends in states(removal).items() if "retry" in ends}

    assert found == {f"{account}-tag-0" for account in bad}
    assert left == {}


def test_users_that_an_unknown_code_follows_return_and_never_dead_lettered() -> None:
    scene = proven(refusing(["user-40", "user-41"], NO_SUCH_CODE))

    removal = scene.invoke(want(100, tags=3))

    assert rejected(removal) == set()
    back = {account for account, ends in states(removal).items() if "retry" in ends}
    assert back == {"user-40", "user-41"}
    assert reasons(removal) == {"unknown"}
    assert removal.faults == {("unknown", NO_SUCH_CODE, "said TIMPush"): 2}


def test_a_transient_failure_within_a_search_is_retried_within_the_search() -> None:
    calls = iter(range(1_000))
    refuse = refusing(["user-13"], LONG_TAG)
    scene = proven(lambda *call: failing(91000) if next(calls) % 4 == 3 else refuse(*call))

    removal = scene.invoke(want(100))

    assert rejected(removal) == {"user-13-tag-0"}
    assert handed_back(removal) == set()


class TestTagThatIsRefusedForEveryUser:
    """Found on one user, tested on a few, known for all."""

    @pytest.mark.parametrize("users", [30, 300, 1_000])
    def test_users_who_all_have_only_this_tag(self, users: int) -> None:
        wanted = {f"user-{number}": {"bad": math.inf} for number in range(users)}
        scene = proven(refusing(["bad"], LONG_TAG, latency=0.1))

        removal = scene.invoke(wanted)

        assert {ends for one in states(removal).values() for ends in one} == {"rejected"}
        assert len(scene.started) <= users / 100 + 1 + SAMPLES + extra_calls(users)

    @pytest.mark.parametrize("users", [30, 300])
    def test_users_of_ten_tags_with_this_one(self, users: int) -> None:
        tags = {f"tag-{number}": math.inf for number in range(9)} | {"bad": math.inf}
        scene = proven(refusing(["bad"], LONG_TAG, latency=0.1))

        removal = scene.invoke({f"user-{number}": dict(tags) for number in range(users)})

        assert rejected(removal) == {"bad"}
        assert all(ends == {"removed", "rejected"} for ends in states(removal).values())
        searched_calls = math.ceil(users / 100)
        assert len(scene.started) <= searched_calls * (1 + extra_calls(1_000)) + SAMPLES

    def test_accounts_that_are_refused_do_not_cost_others_the_tag_they_share(self) -> None:
        bad = {f"user-{number}" for number in range(30)}
        scene = proven(refusing(bad, LONG_TAG, latency=0.1))

        removal = scene.invoke({f"user-{number}": {"gold": math.inf} for number in range(100)})

        assert {one for one, ends in states(removal).items() if ends == {"rejected"}} == bad
        assert ended(removal, "retry") == set()
        assert len(scene.started) <= 30 * extra_calls(100)

    def test_a_tag_that_one_of_the_tested_users_lost_is_not_refused(self) -> None:
        bad = {f"user-{number}" for number in range(100) if number % 13}
        scene = proven(refusing(bad, LONG_TAG, latency=0.1))

        removal = scene.invoke({f"user-{number}": {"gold": math.inf} for number in range(100)})

        assert {one for one, ends in states(removal).items() if ends == {"rejected"}} == bad


def extra_calls(suspects: int) -> float:
    """The most extra calls for one bad user or tag among so many."""
    return 4 * math.log2(suspects)


class TestListedUsers:
    """ErrorCode 0 with an ErrorList: each listed user has its own code."""

    def test_an_account_that_timpush_does_not_know_is_dead_lettered_with_all_its_tags(self) -> None:
        scene = Scene(lambda users, _: listing({"user-5"} & dict(users).keys(), UNKNOWN_ACCOUNT))

        removal = scene.invoke(want(100, tags=10))

        assert rejected(removal) == {f"user-5-tag-{number}" for number in range(10)}
        assert len(ended(removal, "removed")) == 990
        assert len(scene.started) == 1

    def test_the_tags_of_a_user_listed_for_a_tag_are_tried_apart(self) -> None:
        def script(users: list[UserTags], _: object) -> Reply:
            bad = [a for a, tags in users if f"{a}-tag-6" in tags and a == "user-5"]
            return listing(bad, LONG_TAG)

        scene = Scene(script)

        removal = scene.invoke(want(100, tags=10))

        assert rejected(removal) == {"user-5-tag-6"}
        assert len(ended(removal, "removed")) == 999

    def test_many_users_listed_for_a_tag_share_their_calls(self) -> None:
        bad = {f"user-{number}": f"user-{number}-tag-{number % 10}" for number in range(40)}

        def script(users: list[UserTags], _: object) -> Reply:
            return listing([one for one, tags in users if bad[one] in tags], 90035, latency=0.1)

        scene = proven(script)

        removal = scene.invoke(want(40, tags=10))

        assert rejected(removal) == set(bad.values())
        assert handed_back(removal) == set()
        assert len(scene.started) < 40 / 2, "halves of many users in the same call"

    @pytest.mark.parametrize(
        ("code", "reason"),
        [(70009, "credentials"), (60020, "configuration"), (NO_SUCH_CODE, "unknown")],
    )
    def test_a_user_listed_with_a_code_that_is_not_hopeless_is_handed_back_alone(
        self, code: int, reason: str
    ) -> None:
        scene = Scene(lambda *_: listing(["user-5"], code))

        removal = scene.invoke(want(300))

        assert handed_back(removal) == {"user-5-tag-0"}
        assert rejected(removal) == set()
        assert reasons(removal) == {reason}
        assert len(scene.started) == 3
