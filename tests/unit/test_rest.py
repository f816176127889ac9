"""The rest of a message is as few messages as there can be, with the message's attributes."""

import hashlib
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from timpush.messages import UserTags, parse
from timpush.queue.attributes import MAX_BYTES, Message
from timpush.queue.rest import rest_messages

JOB = {"JobId": "spring", "JobUsers": "9", "Chunk": "3:17"}


def record(attributes: dict[str, str], receives: int = 1) -> dict[str, Any]:
    values = {name: {"stringValue": v, "dataType": "String"} for name, v in attributes.items()}
    return {
        "messageId": "m",
        "attributes": {"ApproximateReceiveCount": str(receives)},
        "messageAttributes": values,
    }


def rests(
    users: list[UserTags], attributes: dict[str, str] | None = None, delay: int = 0
) -> list[Message]:
    return list(rest_messages(record(attributes or {}), users, None, delay))


def test_however_many_users_remain_they_are_one_message() -> None:
    users = [(f"user-{number}", ["gold"]) for number in range(5_000)]
    [rest] = rests(users)
    assert parse(rest.body).users == users


def test_above_a_mebibyte_each_part_is_a_chunk_of_its_own() -> None:
    # In ASCII, as messages are sent, such an account takes twice the bytes that it has in UTF-8
    users = [("名" * 100 + str(number), ["gold"]) for number in range(2_000)]
    found = rests(users, JOB)
    assert len(found) == 2
    assert all(rest.size() <= MAX_BYTES for rest in found)
    assert list(chain.from_iterable(parse(rest.body).users for rest in found)) == users
    for rest in found:
        digits = hashlib.sha256(rest.body.encode()).hexdigest()[:8]
        assert rest.attributes["Chunk"] == f"3:17-{digits}"
    assert len({rest.attributes["Chunk"] for rest in found}) == 2


def test_the_same_rest_has_the_same_chunk_whenever_it_is_sent() -> None:
    [first], [second] = (rests([("user", ["gold"])], JOB, delay) for delay in (1, 2))
    assert first.attributes["Chunk"] == second.attributes["Chunk"]


@pytest.mark.parametrize(("delay", "expected"), [(0, 0), (30, 30), (900, 900), (43_200, 900)])
def test_the_delay_is_one_that_sqs_takes(delay: int, expected: int) -> None:
    [rest] = rests([("user", ["gold"])], delay=delay)
    assert rest.delay == expected


@pytest.mark.parametrize(("earlier", "total"), [("", 2), ("7", 9), ("soon", 2), ("9" * 20, 2)])
def test_receives_add_up(earlier: str, total: int) -> None:
    found = record({"EarlierReceives": earlier} if earlier else {}, 2)
    [rest] = rest_messages(found, [("user", ["gold"])], None, 0)
    assert rest.attributes["EarlierReceives"] == str(total)


NAMES = st.sampled_from([*JOB, "RequestId", *(f"other-{number}" for number in range(10))])


@EXAMPLES
@given(attributes=st.dictionaries(NAMES, st.text("xy", min_size=1, max_size=9), max_size=10))
def test_what_means_something_here_is_kept_whatever_else_there_is(
    attributes: dict[str, str],
) -> None:
    [rest] = rests([("user", ["gold"])], attributes)
    assert len(rest.attributes) <= 10
    for name in ("RequestId", "JobId", "JobUsers"):
        assert rest.attributes.get(name) == attributes.get(name)
    assert ("Chunk" in rest.attributes) == ("Chunk" in attributes)
    lost = attributes.keys() - rest.attributes.keys()
    assert len(lost) == max(0, len(attributes) + ("EarlierReceives" not in attributes) - 10)
