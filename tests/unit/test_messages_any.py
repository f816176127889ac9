"""Any JSON and any text: a message body is read exactly when it keeps the contract."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from timpush.errors import MalformedMessageError
from timpush.messages import Document, parse, parse_closely

MANY_DIGITS = "1" + "0" * 400  # a whole number that no float can hold
ANY_TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(["\ud800", "é" * 25, "é" * 26])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TAGS = st.lists(st.text(min_size=1, max_size=16) | st.sampled_from("ab"), min_size=1, max_size=5)
USER = st.fixed_dictionaries({"To_Account": st.text(min_size=1), "Tags": TAGS})
GOOD = {"To_Account": "a", "Tags": ["x"]}
ODD_USER = st.fixed_dictionaries({}, optional={"To_Account": ANY_TEXT, "Tags": TAGS | ANY_JSON})
NUMBERS = st.integers() | st.floats() | st.just(int(MANY_DIGITS))
DOCUMENT = st.fixed_dictionaries(
    {"UserTags": st.lists(USER, min_size=1, max_size=4) | st.lists(USER | ODD_USER | ANY_JSON)},
    optional={"NotAfter": NUMBERS, "Other": ANY_JSON},
)


def is_text(value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    return not any("\ud800" <= char <= "\udfff" for char in value)


def is_tag(value: Any) -> bool:
    return is_text(value) and len(value.encode()) <= 50


def is_user(value: Any) -> bool:
    fits = isinstance(value, dict) and is_text(value.get("To_Account"))
    tags = value.get("Tags") if fits else None
    return isinstance(tags, list) and len(tags) > 0 and all(map(is_tag, tags))


def is_time(value: Any) -> bool:
    return type(value) in (int, float) and -253402300799 <= value <= 253402300799


def keeps_the_contract(value: Any) -> bool:
    """The contract again in other words; a number that is none may stand nowhere."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    users = value.get("UserTags") if isinstance(value, dict) else None
    if not isinstance(users, list) or not users or not all(map(is_user, users)):
        return False
    return "NotAfter" not in value or is_time(value["NotAfter"])


def parse_or_fault(
    text: str | bytes, how: Callable[[str | bytes], Document] = parse
) -> Document | MalformedMessageError:
    try:
        return how(text)
    except MalformedMessageError as error:
        return error


def as_text(value: Any) -> str:
    """JSON in which an object is a list of pairs `Pairs`, so that it may hold a key twice."""
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(k)}: {as_text(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Pairs(tuple[tuple[str, Any], ...]):
    """The members of a JSON object in their order."""


def pairs(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pairs]:
    """An object with some of these keys, some of them perhaps twice."""
    return st.lists(st.tuples(st.sampled_from(keys), values), max_size=4).map(Pairs)


def objects(first: str, one: Any, second: str, other: Any) -> st.SearchStrategy[Pairs]:
    """An object with both keys once, or one that is anything near it."""
    plain = st.tuples(st.tuples(st.just(first), one), st.tuples(st.just(second), other))
    near = pairs([first, second, "Tags", "UserTags", "x"], one | other | ODD)
    return plain.map(Pairs) | near


ODD = st.none() | st.integers() | st.sampled_from(["Tags", "To_Account", "", "é", "\x7f", "\x00"])
NEAR_TAGS = st.lists(st.sampled_from(["a", "b", "x" * 50, "x" * 51, "Tags"]) | ODD, max_size=3)
NEAR_USERS = st.lists(objects("To_Account", st.sampled_from(["u", "v"]), "Tags", NEAR_TAGS))
NEAR_BODIES = objects("UserTags", NEAR_USERS, "NotAfter", NUMBERS) | st.builds(
    lambda users: Pairs([("UserTags", users)]), NEAR_USERS
)


class TestAnyInput:
    @given(DOCUMENT | ANY_JSON)
    @example({"UserTags": [GOOD], "NotAfter": int(MANY_DIGITS)})
    @example({"UserTags": [GOOD], "NotAfter": -int(MANY_DIGITS)})
    def test_json_is_read_when_it_keeps_the_rules_and_refused_when_not(self, value: Any) -> None:
        text = json.dumps(value)
        value = json.loads(text)  # two lone surrogates side by side come back as one character
        found = parse_or_fault(text)
        if not keeps_the_contract(value):
            assert isinstance(found, MalformedMessageError)
            assert 1 <= len(found.faults) <= 50
        else:
            users = value["UserTags"]
            wanted = [(one["To_Account"], list(dict.fromkeys(one["Tags"]))) for one in users]
            assert found == Document(wanted, value.get("NotAfter"))

    @given(NEAR_BODIES.map(as_text), st.sampled_from(["", " ", "x", "\ufeff", "{"]))
    @example('{"UserTags": [{"To_Account": "a", "Tags": ["x"], "Tags": ["y"]}]}', "")
    @example('{"UserTags": [{"To_Account": "a", "Tags": ["x"]}], "UserTags": []}', "")
    @example('{"UserTags": [{"To_Account": "a", "T\\u0061gs": ["x"], "Tags": ["y"]}]}', "")
    @example('{"UserTags": [{"To_Account": "a", "Tags": ["x"]}], "NotAfter": NaN}', "")
    @example('{"UserTags": [{"To_Account": "a", "Tags": ["x", "x"]}]}', "")
    def test_the_short_way_reads_what_the_long_way_reads(self, text: str, rest: str) -> None:
        found, expected = (parse_or_fault(text + rest, how) for how in (parse, parse_closely))
        if isinstance(expected, MalformedMessageError):
            assert isinstance(found, MalformedMessageError)
            assert found.faults == expected.faults
        else:
            assert found == expected

    @given(st.text(st.characters()) | st.binary())
    def test_text_that_is_anything_is_read_or_refused(self, text: str | bytes) -> None:
        found = parse_or_fault(text)
        assert found.users if isinstance(found, Document) else found.faults
