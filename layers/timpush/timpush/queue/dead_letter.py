"""Messages of the dead-letter queue: what can never succeed, with the reason. Written and read.

    {"UserTags": [...], "Errors": [{"To_Account", "ErrorCode", "ErrorInfo"}], "SourceMessageId"}

Such a document is a message body itself: it can be sent to the queue again once the cause is
fixed. A malformed message keeps its own body. The attributes `ErrorCode`, `SourceMessageId` and
`Reason` sum up why it is there; those that the source message carried stay with it.

What is too large for one message still gets there: a malformed body of almost 1 MiB without the
attributes that do not fit beside it; a user with an account of hundreds of kilobytes without
`Errors`; if even that is too large, `Truncated` with the beginning of the account. That is no
message body, so that it is never sent for another account; it is read as malformed.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from timpush.errors import MalformedMessageError
from timpush.messages import Document, UserTags, parse
from timpush.outcomes import Outcome
from timpush.queue.attributes import (
    ERROR_CODE,
    MAX_BYTES,
    REASON,
    SOURCE_MESSAGE_ID,
    Message,
    attribute_bytes,
    count_bytes,
)
from timpush.queue.split import cut, cut_tags, encode
from timpush.tencent.codes import meaning

MAX_REASON = 300
MAX_SHOWN = 1_000
"""Characters of an account that is too long for a message."""
MALFORMED = "Malformed"
GIVEN_UP = "MaxReceiveCount"
"""In place of a code, for what SQS moved after too many receives."""

Rejected = tuple[str, str, Outcome]
"""An account, one of its tags, and why it was rejected."""


class Error(NamedTuple):
    """Why a user was rejected: Tencent's code as text, and its words."""

    code: str
    info: str


class User(NamedTuple):
    """A rejected user; `errors` has at least one."""

    account: str
    tags: list[str]
    errors: tuple[Error, ...]

    @property
    def codes(self) -> set[str]:
        return {error.code for error in self.errors}


# Writing


def malformed_letter(
    message_id: str, body: str, error: MalformedMessageError, carried: dict[str, str]
) -> Message:
    """The dead letter of a malformed message: its own body, and the first faults as the reason."""
    attributes = _attributes(message_id, str(error.code), f"malformed: {error.message}") | carried
    return Message(body, _fitting(attributes, MAX_BYTES - count_bytes(body)))


def rejected_letters(
    message_id: str, rejected: Sequence[Rejected], carried: dict[str, str]
) -> Iterator[Message]:
    """The dead letters of the users of a message that were rejected: one, more above 1 MiB."""
    attributes = _attributes(message_id, *_summary(rejected)) | carried
    return write_letters(message_id, _users(rejected), attributes)


def write_letters(
    message_id: str, users: Iterable[User], attributes: dict[str, str]
) -> Iterator[Message]:
    """Write users into as few documents as they need; `message_id` is the source message's."""
    room = MAX_BYTES - Message(_body(message_id, [], []), attributes).size()
    parts = (_encode(part) for user in users for part in _cut_user(user))
    sized = ((part, len(part[0]) + sum(map(len, part[1])) + len(part[1]) + 1) for part in parts)
    for run in cut(sized, room):  # a part's size is its JSON and its commas
        rows = [error for _, errors in run for error in errors]
        letter = Message(_body(message_id, [user for user, _ in run], rows), attributes)
        fits = letter.size() <= MAX_BYTES
        yield letter if fits else _too_large(message_id, run[0][0], attributes)


def _too_large(message_id: str, user: str, attributes: dict[str, str]) -> Message:
    """A user who alone is too large: without `Errors`, else only the beginning of the account."""
    letter = Message(_body(message_id, [user], []), attributes)
    if letter.size() <= MAX_BYTES:
        return letter
    row = json.loads(user)
    account = row["To_Account"]
    shown = {"To_Account": account[:MAX_SHOWN], "Characters": len(account), "Tags": row["Tags"]}
    return Message(encode({"Truncated": shown, "SourceMessageId": message_id}), attributes)


def _fitting(attributes: dict[str, str], room: int) -> dict[str, str]:
    """As many of the attributes, the first ones first, as fit into so many bytes."""
    kept: dict[str, str] = {}
    for name, value in attributes.items():
        room -= attribute_bytes(name, value)
        if room < 0:
            break
        kept[name] = value
    return kept


def _users(rejected: Iterable[Rejected]) -> Iterator[User]:
    """Each user, at most 1,000 of its tags at a time, with the errors of these tags."""
    accounts: dict[str, dict[str, Outcome]] = {}  # a message may hold a tag twice
    for account, tag, outcome in rejected:
        accounts.setdefault(account, {})[tag] = outcome
    for account, outcomes in accounts.items():
        for _, tags in cut_tags([(account, list(outcomes))]):
            errors = dict.fromkeys(outcomes[tag] for tag in tags)
            yield User(account, tags, tuple(Error(str(one.code), one.text) for one in errors))


def _cut_user(user: User) -> Iterator[User]:
    for _, tags in cut_tags([(user.account, user.tags)]):
        yield user._replace(tags=tags)


def _encode(user: User) -> tuple[str, list[str]]:
    errors = [
        {"To_Account": user.account, "ErrorCode": _code(error.code), "ErrorInfo": error.info}
        for error in user.errors
    ]
    return encode({"To_Account": user.account, "Tags": user.tags}), [*map(encode, errors)]


def _code(code: str) -> int | str:
    """Tencent's codes are numbers."""
    return int(code) if code.isascii() and code.isdigit() else code


def _body(message_id: str, users: list[str], errors: list[str]) -> str:
    return (
        f'{{"UserTags":[{",".join(users)}],"Errors":[{",".join(errors)}],'
        f'"SourceMessageId":{encode(message_id)}}}'
    )


def _attributes(message_id: str, code: str, reason: str) -> dict[str, str]:
    printable = "".join(char if char.isprintable() else " " for char in reason[:MAX_REASON])
    return {ERROR_CODE: code, SOURCE_MESSAGE_ID: message_id, REASON: printable}


def _summary(rejected: Iterable[Rejected]) -> tuple[str, str]:
    """The code most users were rejected with, and it with its meaning in words."""
    (code, text), _ = Counter((o.code, o.text) for _, _, o in rejected).most_common(1)[0]
    if not isinstance(code, int):
        return code, text
    return str(code), ": ".join(filter(None, (str(code), meaning(code), text)))


def rewrite_letters(
    message_id: str, users: Sequence[User], earlier: dict[str, str], carried: dict[str, str]
) -> Iterator[Message]:
    """Dead letters for some of the users of one that was read, `earlier` being its attributes."""
    counted = Counter(error for user in users for error in user.errors)
    [(error, _)] = counted.most_common(1)
    same = error.code == earlier.get(ERROR_CODE)
    reason = (earlier.get(REASON) if same else "") or f"{error.code}: {error.info}"
    attributes = _attributes(message_id, error.code, reason) | carried
    return write_letters(message_id, users, attributes)


# Reading


def read_document(body: str, attributes: dict[str, str]) -> Document | None:
    """What a dead letter asks for, None when it is malformed."""
    if attributes.get(ERROR_CODE) == MALFORMED:
        return None
    try:
        return parse(body)
    except MalformedMessageError:
        return None


def read_users(users: Iterable[UserTags], body: str, attributes: dict[str, str]) -> list[User]:
    """The users of a document, each with what `Errors` says of it."""
    whole = Error(attributes.get(ERROR_CODE, GIVEN_UP), attributes.get(REASON, ""))
    errors = _read_errors(json.loads(body).get("Errors"))
    return [
        User(account, tags, tuple(errors.get(account, {whole: None}))) for account, tags in users
    ]


def _read_errors(rows: Any) -> dict[str, dict[Error, None]]:
    """Account -> its errors, each once; rows of another shape than the worker's are left out."""
    errors: dict[str, dict[Error, None]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and "To_Account" in row and "ErrorCode" in row:
            error = Error(str(row["ErrorCode"]), str(row.get("ErrorInfo", "")))
            errors.setdefault(str(row["To_Account"]), {})[error] = None
    return errors
