"""A message body: Tencent's own request body, checked before anything is sent.

    {"UserTags": [{"To_Account": "user-1", "Tags": ["gold", "week-pass"]}], "NotAfter": 1800000000}

Rules: `UserTags` is a non-empty array; `To_Account` a non-empty string (a UserID or a
RegistrationID); `Tags` a non-empty array of non-empty strings of at most 50 bytes of UTF-8;
`NotAfter`, optional, is in Unix seconds. Other keys are ignored.
Source of the shape and the 50 bytes: https://trtc.io/document/67822 (n.d.).
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from timpush.errors import MalformedMessageError

MAX_TAG_BYTES = 50
MAX_FAULTS = 50
MAX_NOT_AFTER = 253_402_300_799  # the end of the year 9999; beyond it lie milliseconds

UserTags = tuple[str, list[str]]
"""An account and its tags, each tag once."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a body asks for: users with their tags, and the latest time to do it (None: any)."""

    users: list[UserTags]
    not_after: float | None = None


class _Faults(list[tuple[str, str]]):
    """Collects (JSON pointer, rule) pairs; the first 50 are enough to fix a body."""

    def add(self, place: str, rule: str) -> None:
        self.append((place, rule))
        if len(self) >= MAX_FAULTS:
            raise MalformedMessageError(self)


class _RepeatedKey(dict[str, Any]):
    """A JSON object that holds a key twice: which of the two was meant cannot be known."""


def parse(body: str | bytes) -> Document:
    """Read a body.

    Raises:
        MalformedMessageError: with the JSON pointer and the rule of each fault, at most 50.
    """
    plain = _parse_plain(body) if isinstance(body, str) else None
    return plain or parse_closely(body)


def parse_closely(body: str | bytes) -> Document:
    """`parse` for any body; `parse` itself has a shorter way for those without peculiarities.

    Raises:
        MalformedMessageError: with the JSON pointer and the rule of each fault, at most 50.
    """
    faults = _Faults()
    document = _check_object(_load(body), "", faults)
    users = _check_users(document.get("UserTags"), faults)
    not_after = _check_not_after(document, faults)
    if faults:
        raise MalformedMessageError(faults)
    return Document(users, not_after)


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Read any JSON object that holds no key twice.

    Raises:
        MalformedMessageError: it is something else.
    """
    faults = _Faults()
    document = _check_object(_load(text), "", faults)
    if faults:
        raise MalformedMessageError(faults)
    return document


def parse_user(text: str | bytes) -> UserTags:
    """Read one object of `UserTags` alone, such as a line of a file.

    Raises:
        MalformedMessageError: with the JSON pointer and the rule of each fault, at most 50.
    """
    return check_user(_load(text))


def check_user(value: Any) -> UserTags:
    """Check one object of `UserTags` that was read already.

    Raises:
        MalformedMessageError: with the JSON pointer and the rule of each fault, at most 50.
    """
    faults = _Faults()
    user = _check_user(value, "", faults)
    if faults:
        raise MalformedMessageError(faults)
    return user


def _parse_plain(body: str) -> Document | None:
    """A body of the plain kind, as almost all are, read the short way; None: look closely.

    Plain means: in ASCII without escapes, no other keys, and no rule broken. Each user then holds
    each of its keys at least once, so the text holds a key twice only if it holds one too many.
    """
    if "\\" in body:
        return None
    try:
        document, end = _PLAIN_DECODER.raw_decode(body)
    except (ValueError, RecursionError):
        return None
    if end != len(body) or type(document) is not dict or not document.keys() <= _KEYS:
        return None
    rows = document.get("UserTags")
    users = list(map(_plain_user, rows)) if type(rows) is list else [None]
    if not users or None in users or not _holds_each_key_once(body, len(users)):
        return None
    faults = _Faults()
    not_after = _check_not_after(document, faults)
    return None if faults else Document(cast(list[UserTags], users), not_after)


def _plain_user(value: Any) -> UserTags | None:
    if type(value) is not dict or len(value) != 2:
        return None
    account, tags = value.get("To_Account"), value.get("Tags")
    if type(account) is not str or not account or not account.isascii() or type(tags) is not list:
        return None
    for tag in tags:
        if type(tag) is not str or not 0 < len(tag) <= MAX_TAG_BYTES or not tag.isascii():
            return None
    return (account, tags) if 0 < len(tags) == len(set(tags)) else None


def _holds_each_key_once(body: str, users: int) -> bool:
    return (
        body.count('"To_Account"') == body.count('"Tags"') == users
        and body.count('"UserTags"') == 1
        and body.count('"NotAfter"') <= 1
    )


def _load(body: str | bytes) -> Any:
    try:
        return _DECODER.decode(body if isinstance(body, str) else body.decode())
    except RecursionError:
        fault = "is nested too deeply"
    except ValueError as error:
        fault = f"must be JSON: {str(error)[:100]}"
    raise MalformedMessageError([("", fault)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _RepeatedKey(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
_PLAIN_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_KEYS = frozenset({"UserTags", "NotAfter"})


def _check_object(value: Any, place: str, faults: _Faults) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.add(place, "must be an object")
        return {}
    if isinstance(value, _RepeatedKey):
        faults.add(place, "must not hold a key twice")
    return value


def _check_users(value: Any, faults: _Faults) -> list[UserTags]:
    if not isinstance(value, list) or not value:
        if not faults:  # a body that is no object has its fault already
            faults.add("/UserTags", "must be a non-empty array")
        return []
    return [_check_user(item, f"/UserTags/{index}", faults) for index, item in enumerate(value)]


def _check_user(value: Any, place: str, faults: _Faults) -> UserTags:
    user = _check_object(value, place, faults)
    if not isinstance(value, dict):
        return "", []
    account = user.get("To_Account")
    if not isinstance(account, str) or not account:
        faults.add(f"{place}/To_Account", "must be a non-empty string")
    elif _utf8_bytes(account) is None:
        faults.add(f"{place}/To_Account", "must be valid Unicode")
    return account or "", _check_tags(user.get("Tags"), f"{place}/Tags", faults)


def _check_tags(value: Any, place: str, faults: _Faults) -> list[str]:
    if not isinstance(value, list) or not value:
        faults.add(place, "must be a non-empty array")
        return []
    for index, tag in enumerate(value):
        rule = _tag_fault(tag)
        if rule:
            faults.add(f"{place}/{index}", rule)
    if faults:
        return []
    return value if len(value) == 1 else list(dict.fromkeys(value))


def _tag_fault(tag: Any) -> str | None:
    if not isinstance(tag, str) or not tag:
        return "must be a non-empty string"
    size = _utf8_bytes(tag)
    if size is None:
        return "must be valid Unicode"
    if size > MAX_TAG_BYTES:
        return f"must be at most {MAX_TAG_BYTES} bytes of UTF-8, is {size}"
    return None


def _utf8_bytes(text: str) -> int | None:
    """The length of `text` in UTF-8; None when it holds a lone surrogate."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None


def _check_not_after(document: dict[str, Any], faults: _Faults) -> float | None:
    if "NotAfter" not in document:
        return None
    value = document["NotAfter"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.add("/NotAfter", "must be a number of Unix seconds")
        return None
    if abs(value) > MAX_NOT_AFTER:  # before any float(): a whole number may be too large for one
        faults.add("/NotAfter", "must be in seconds, not milliseconds")
        return None
    return float(value)
