"""Users and their tags become messages of at most 100 users and 1 MiB, and no user is lost."""

import json
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from timpush.messages import UserTags, parse
from timpush.queue.attributes import MAX_BYTES, Message
from timpush.queue.split import queue_messages

ID = {"RequestId": "0f1e2d3c-4b5a-4968-8776-655443322110"}


def cut(users: list[UserTags], not_after: float | None = None) -> list[Message]:
    return [message for message, _ in queue_messages(users, not_after, ID)]


def test_users_fill_messages_of_100_in_their_order() -> None:
    users = [(f"user-{number}", ["gold"]) for number in range(250)]
    found = [parse(message.body).users for message in cut(users)]
    assert [len(part) for part in found] == [100, 100, 50]
    assert list(chain.from_iterable(found)) == users


def test_each_message_has_the_attributes_and_the_accounts_that_come_with_it() -> None:
    users = [(f"user-{number}", ["gold"]) for number in range(150)]
    for message, accounts in queue_messages(users, None, ID):
        assert message.attributes == ID
        assert [account for account, _ in parse(message.body).users] == accounts


def test_no_users_make_no_message() -> None:
    assert cut([]) == []


@pytest.mark.parametrize("not_after", [None, 1_800_000_000.0, 1_800_000_000.25, 0.0])
def test_not_after_goes_along(not_after: float | None) -> None:
    (message,) = cut([("user", ["gold"])], not_after)
    assert parse(message.body).not_after == not_after
    assert ("NotAfter" in json.loads(message.body)) == (not_after is not None)


def test_messages_are_of_characters_that_sqs_takes() -> None:
    account = "控\x00\x1f\x7f\uffff\ufffe\U0001f600"
    (message,) = cut([(account, ["\x01"])])
    assert message.body.isascii()
    assert message.body.isprintable()
    assert parse(message.body).users == [(account, ["\x01"])]


def test_a_user_with_very_many_tags_is_in_several_messages() -> None:
    tags = [f"{number:050d}" for number in range(40_000)]
    messages = cut([("user", tags), ("other", ["gold"])])
    assert len(messages) > 1
    assert all(message.size() <= MAX_BYTES for message in messages)
    rows = [row for message in messages for row in parse(message.body).users]
    assert [tag for account, names in rows if account == "user" for tag in names] == tags
    assert rows[-1] == ("other", ["gold"])


def test_a_message_that_is_too_large_holds_one_user() -> None:
    users = [("a", ["gold"]), ("x" * MAX_BYTES, ["gold"]), ("b", ["gold"])]
    found = [(m.size() > MAX_BYTES, accounts) for m, accounts in queue_messages(users, None, ID)]
    assert found == [(False, ["a"]), (True, ["x" * MAX_BYTES]), (False, ["b"])]


def test_messages_are_filled_to_the_last_bytes() -> None:
    # Given two users who leave so many bytes of a message free
    (pair,) = cut([("a", ["gold"]), ("b", ["gold"])])
    room = MAX_BYTES - pair.size()
    # When the first is longer by almost so many, or by more
    fit = cut([("a" * room, ["gold"]), ("b", ["gold"])])
    too_long = cut([("a" * (room + 2), ["gold"]), ("b", ["gold"])])
    # Then they share a message, or do not
    assert [MAX_BYTES - message.size() for message in fit] == [1]
    assert len(too_long) == 2


accounts = st.text(min_size=1, max_size=5).filter(lambda text: text.isascii() or text.isprintable())
sizes = st.sampled_from([1, 1, 1, 1_000, 200_000])
users = st.lists(
    st.tuples(
        st.builds(lambda text, size: text * size, accounts, sizes),
        st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True),
    ),
    max_size=130,
    unique_by=lambda user: user[0],
)


@EXAMPLES
@given(users=users)
def test_each_tag_of_each_user_is_in_exactly_one_message(users: list[UserTags]) -> None:
    made = list(queue_messages(users, None, ID))
    assert list(chain.from_iterable(parse(one.body).users for one, _ in made)) == users
    assert list(chain.from_iterable(accounts for _, accounts in made)) == [a for a, _ in users]
    for message, accounts in made:
        assert 1 <= len(accounts) <= 100
        assert message.size() <= MAX_BYTES or len(accounts) == 1
