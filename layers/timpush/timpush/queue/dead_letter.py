"""Parks on the dead-letter queue what can never succeed, with the reason.

    {"UserTags": [...], "Errors": [{"To_Account", "ErrorCode", "ErrorInfo"}], "SourceMessageId"}

A parked document is a message body itself: it can be sent back to the queue once the cause is
mended. A message counts as parked only when SQS confirmed each of its documents. Attributes that
the message carried (`sending.CARRIED`) stay with it.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from timpush.errors import MalformedMessageError
from timpush.outcomes import Outcome
from timpush.queue.sender import MAX_BYTES, Message, send
from timpush.tencent.codes import meaning

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_TAGS = 1_000  # of one user in a part of a document, so that any user can be split
MAX_REASON = 300

_json = json.JSONEncoder(separators=(",", ":")).encode

Failed = tuple[str, str, Outcome]
"""An account, one of its tags, and why it was parked."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A message for the dead-letter queue; `message_id` is the source message's.

    `carried` are the attributes that it takes over from the source message.
    """

    message_id: str
    body: str
    error_code: str
    reason: str
    carried: dict[str, str] = field(default_factory=dict)

    def attributes(self) -> dict[str, str]:
        """The message attributes, all of type String."""
        return {
            **self.carried,
            "SourceMessageId": self.message_id,
            "ErrorCode": self.error_code,
            "Reason": self.reason,
        }

    def message(self) -> Message:
        """It as a message to send."""
        return Message(self.body, self.attributes())

    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        return self.message().size()


def park_malformed(
    message_id: str,
    body: str,
    error: MalformedMessageError,
    carried: dict[str, str] | None = None,
) -> Parked:
    """A malformed message: its own body, and the first faults as the reason."""
    reason = _reason(f"malformed: {error.message}")
    return Parked(message_id, body, str(error.code), reason, carried or {})


def park_failed(
    message_id: str, failed: list[Failed], carried: dict[str, str] | None = None
) -> Iterator[Parked]:
    """The users and tags of one message that failed for good: one document, more above 1 MiB."""
    users: list[str] = []
    errors: list[str] = []
    code, reason = _summary(failed)
    empty = Parked(message_id, _body(message_id, [], []), code, reason, carried or {})
    room = MAX_BYTES - empty.size()
    size = 0
    for user, user_errors in _parts(failed):
        part = len(user) + sum(map(len, user_errors)) + len(user_errors) + 1  # and their commas
        if users and size + part > room:
            yield replace(empty, body=_body(message_id, users, errors))
            users, errors, size = [], [], 0
        users.append(user)
        errors.extend(user_errors)
        size += part
    yield replace(empty, body=_body(message_id, users, errors))


def _parts(failed: list[Failed]) -> Iterator[tuple[str, list[str]]]:
    """Each user (at most 1,000 of its tags at a time) and its errors, as JSON in ASCII."""
    accounts: dict[str, dict[str, Outcome]] = {}  # a message may hold a tag twice
    for account, tag, outcome in failed:
        accounts.setdefault(account, {})[tag] = outcome
    for account, tags in accounts.items():
        rows = list(tags.items())
        for start in range(0, len(rows), MAX_TAGS):
            part = rows[start : start + MAX_TAGS]
            user = {"To_Account": account, "Tags": [tag for tag, _ in part]}
            errors = [
                {"To_Account": account, "ErrorCode": outcome.code, "ErrorInfo": outcome.text}
                for outcome in dict.fromkeys(outcome for _, outcome in part)
            ]
            yield _json(user), [_json(error) for error in errors]


def _body(message_id: str, users: list[str], errors: list[str]) -> str:
    return (
        f'{{"UserTags":[{",".join(users)}],"Errors":[{",".join(errors)}],'
        f'"SourceMessageId":{_json(message_id)}}}'
    )


def _summary(failed: list[Failed]) -> tuple[str, str]:
    """The code most users failed with, and it with its meaning in words."""
    (code, text), _ = Counter((o.code, o.text) for _, _, o in failed).most_common(1)[0]
    if not isinstance(code, int):
        return code, _reason(text)
    return str(code), _reason(": ".join(filter(None, (str(code), meaning(code), text))))


def _reason(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:MAX_REASON])


def send_parked(
    client: "SQSClient",
    queue_url: str,
    parked: Iterable[Parked],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> set[str]:
    """Send to the dead-letter queue until `deadline` (of the clock).

    Returns the source messages of which SQS did not confirm every document.
    """
    documents = list(parked)
    messages = [document.message() for document in documents]
    unsent = send(client, queue_url, messages, deadline, clock)
    return {documents[position].message_id for position in unsent}
