"""Many messages become few calls, and no tag is lost, doubled or moved to another user."""

import math
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timpush.messages import Document, UserTags
from timpush.outcomes import Wanted
from timpush.removal import packing
from timpush.removal.packing import LONG_ACCOUNT, cut, merge

Calls = list[list[UserTags]]


def document(*users: UserTags, not_after: float | None = None) -> Document:
    return Document(list(users), not_after)


def tags(count: int) -> list[str]:
    return [f"tag-{number}" for number in range(count)]


def calls(*documents: Document) -> Calls:
    return list(cut(merge(documents)))


def chunks(count: int) -> int:
    return math.ceil(count / 10)


class TestMerge:
    def test_tags_of_one_account_are_united_in_the_order_of_arrival(self) -> None:
        merged = merge(
            [
                document(("b", ["z", "a"]), ("a", ["m"])),
                document(("c", ["x"]), ("b", ["a", "k"])),
                document(("b", ["z", "b"])),
            ]
        )
        assert [(account, list(wanted)) for account, wanted in merged.items()] == [
            ("b", ["z", "a", "k", "b"]),
            ("a", ["m"]),
            ("c", ["x"]),
        ]

    def test_accounts_are_told_apart_by_every_character(self) -> None:
        assert len(merge([document(("a", ["x"]), ("A", ["x"]), ("a ", ["x"]), ("á", ["x"]))])) == 4

    def test_a_tag_is_wanted_until_the_latest_of_its_times(self) -> None:
        merged = merge(
            [
                document(("a", ["x", "y", "z"]), not_after=5.0),
                document(("a", ["x", "z"]), not_after=9.0),
                document(("a", ["y"]), not_after=2.0),
                document(("a", ["z"])),
            ]
        )
        assert merged == {"a": {"x": 9.0, "y": 5.0, "z": math.inf}}

    def test_the_documents_stay_as_they_are(self) -> None:
        first, second = document(("a", ["x"])), document(("a", ["y"]))
        calls(first, second)
        assert (first.users, second.users) == ([("a", ["x"])], [("a", ["y"])])


class TestCut:
    def test_nothing_wanted_is_no_call(self) -> None:
        assert calls() == []

    def test_1000_messages_of_one_user_are_10_calls(self) -> None:
        packed = calls(*(document((f"u{n}", ["gold"])) for n in range(1000)))
        assert [len(call) for call in packed] == [100] * 10

    def test_one_message_of_2501_users_is_26_calls(self) -> None:
        packed = calls(document(*((f"u{n}", ["gold"]) for n in range(2501))))
        assert [len(call) for call in packed] == [100] * 25 + [1]

    def test_the_same_user_in_1000_messages_is_one_call(self) -> None:
        assert calls(*[document(("a", ["gold"]))] * 1000) == [[("a", ["gold"])]]

    @pytest.mark.parametrize(("count", "sizes"), [(10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
    def test_at_most_10_tags_of_a_user_go_into_a_call_in_their_order(
        self, count: int, sizes: list[int]
    ) -> None:
        packed = calls(document(("a", tags(count))))
        assert [len(call[0][1]) for call in packed] == sizes
        assert [tag for call in packed for tag in call[0][1]] == tags(count)

    def test_further_tags_travel_with_other_users(self) -> None:
        packed = calls(document(*((f"u{n}", tags(11)) for n in range(150))))
        assert [len(call) for call in packed] == [100, 100, 100]

    def test_a_user_with_many_tags_who_comes_last_takes_no_call_more(self) -> None:
        users = [(f"u{n}", ["gold"]) for n in range(100)]
        assert len(calls(document(*users, ("long", tags(100))))) == 11 - 1

    @pytest.mark.parametrize("sizes", [(1, 10, 7), (10, 10, 10)])
    def test_users_of_up_to_10_tags_keep_the_order_of_their_messages(
        self, sizes: tuple[int, ...]
    ) -> None:
        users = [(f"u{n}", tags(sizes[n % 3])) for n in range(350)]
        packed = calls(*(document(*users[start : start + 70]) for start in range(0, 350, 70)))
        assert [user for call in packed for user in call] == users

    def test_an_account_of_extreme_length_fails_no_other_account(self) -> None:
        long = "x" * LONG_ACCOUNT
        packed = calls(document(("a", ["x"]), (long, ["x"]), ("b", ["x"]), (long + "y", ["x"])))
        assert sorted([account for account, _ in call] for call in packed) == sorted(
            [["a", "b"], [long], [long + "y"]]
        )
        assert calls(document((long, tags(11)))) == [[(long, tags(10))], [(long, ["tag-10"])]]


def lines_run(work: Callable[[], Any]) -> int:
    """How many lines of the module run: an effort that no load on the machine changes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != packing.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


class TestEffort:
    def test_200000_tags_of_one_user_are_cut_once_each(self) -> None:
        packed = calls(document(("a", tags(200_000))))
        assert len(packed) == 20_000
        assert [tag for call in packed for _, part in call for tag in part] == tags(200_000)

    @pytest.mark.parametrize(
        "build",
        [
            lambda size: [document(("a", tags(size)))],
            lambda size: [document((f"u{n}", ["x"])) for n in range(size)],
            lambda size: [document(("a", [f"t{n}"])) for n in range(size)],
            lambda size: [document(*((f"u{n}", tags(25)) for n in range(size // 25)))],
        ],
        ids=["one user", "many users", "one user in many messages", "users of 25 tags"],
    )
    def test_twice_the_tags_are_twice_the_work(
        self, build: Callable[[int], list[Document]]
    ) -> None:
        once, twice = (build(size) for size in (5_000, 10_000))
        assert lines_run(lambda: calls(*twice)) < 2.2 * lines_run(lambda: calls(*once))


ACCOUNTS = st.integers(0, 300).map("u{}".format)
USERS = st.lists(st.tuples(ACCOUNTS, st.integers(1, 35).map(tags)), max_size=12)
CROWD = st.integers(0, 260).map(lambda size: [(f"crowd-{n}", ["x"]) for n in range(size)])
DOCUMENTS = st.lists(
    st.one_of(USERS, CROWD, st.just([("heavy", tags(400))])).map(lambda users: document(*users)),
    max_size=8,
)


def pairs(wanted: Wanted) -> Counter[tuple[str, str]]:
    return Counter((account, tag) for account, held in wanted.items() for tag in held)


class TestAnyDocuments:
    @given(DOCUMENTS)
    def test_each_tag_of_each_user_is_in_exactly_one_call(self, documents: list[Document]) -> None:
        wanted = merge(documents)
        sent = Counter((a, tag) for call in cut(wanted) for a, part in call for tag in part)
        assert sent == pairs(wanted)
        assert set(sent) == {(a, tag) for one in documents for a, held in one.users for tag in held}

    @given(DOCUMENTS)
    def test_a_call_keeps_the_limits(self, documents: list[Document]) -> None:
        for call in calls(*documents):
            assert 1 <= len(call) <= 100
            assert len({account for account, _ in call}) == len(call)
            assert all(1 <= len(part) <= 10 for _, part in call)

    @given(DOCUMENTS)
    def test_there_are_as_few_calls_as_can_be(self, documents: list[Document]) -> None:
        wanted = merge(documents)
        entries = [chunks(len(held)) for held in wanted.values()]
        least = max(math.ceil(sum(entries) / 100), max(entries, default=0))
        assert len(list(cut(wanted))) == least

    @given(DOCUMENTS)
    def test_users_with_equally_many_tags_keep_their_order(self, documents: list[Document]) -> None:
        wanted = merge(documents)
        first_seen = list(dict.fromkeys(account for call in cut(wanted) for account, _ in call))
        for size in {chunks(len(held)) for held in wanted.values()}:
            alike = [account for account, held in wanted.items() if chunks(len(held)) == size]
            assert [account for account in first_seen if account in set(alike)] == alike
