"""Parks on the dead-letter queue what can never succeed, with the reason.

    {"UserTags": [...], "Errors": [{"To_Account", "ErrorCode", "ErrorInfo"}], "SourceMessageId"}

A parked document is a message body itself: it can be sent back to the queue once the cause is
mended. A message counts as parked only when SQS confirmed each of its documents.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from timpush.errors import CODES, MalformedMessageError
from timpush.outcomes import Outcome

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BYTES = 1024 * 1024
"""A message with its attributes, and a SendMessageBatch as a whole.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
(2025-08).
"""
MAX_ENTRIES = 10
MAX_TAGS = 1_000  # of one user in a part of a document, so that any user can be split
MAX_REASON = 300
SENDERS = 8

Failed = tuple[str, str, Outcome]
"""An account, one of its tags, and why it was parked."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A message for the dead-letter queue; `message_id` is the source message's."""

    message_id: str
    body: str
    error_code: str
    reason: str

    def attributes(self) -> dict[str, str]:
        """The message attributes, all of type String."""
        return {
            "SourceMessageId": self.message_id,
            "ErrorCode": self.error_code,
            "Reason": self.reason,
        }

    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        attributes = sum(len(k) + 6 + _bytes(v) for k, v in self.attributes().items())
        return _bytes(self.body) + attributes


def park_malformed(message_id: str, body: str, error: MalformedMessageError) -> Parked:
    """A malformed message: its own body, and the first faults as the reason."""
    return Parked(message_id, body, str(error.code), _reason(f"malformed: {error.message}"))


def park_failed(message_id: str, failed: list[Failed]) -> Iterator[Parked]:
    """The users and tags of one message that failed for good: one document, more above 1 MiB."""
    users: list[str] = []
    errors: list[str] = []
    code, reason = _summary(failed)
    whole = _document(message_id, users, errors, code, reason)
    room = MAX_BYTES - whole.size()
    size = 0
    for user, user_errors in _parts(failed):
        part = len(user) + sum(map(len, user_errors)) + len(user_errors) + 1  # and their commas
        if users and size + part > room:
            yield _document(message_id, users, errors, code, reason)
            users, errors, size = [], [], 0
        users.append(user)
        errors.extend(user_errors)
        size += part
    yield _document(message_id, users, errors, code, reason)


def _parts(failed: list[Failed]) -> Iterator[tuple[str, list[str]]]:
    """Each user (at most 1,000 of its tags at a time) and its errors, as JSON in ASCII."""
    accounts: dict[str, list[tuple[str, Outcome]]] = {}
    for account, tag, outcome in failed:
        accounts.setdefault(account, []).append((tag, outcome))
    for account, rows in accounts.items():
        for start in range(0, len(rows), MAX_TAGS):
            part = rows[start : start + MAX_TAGS]
            user = {"To_Account": account, "Tags": [tag for tag, _ in part]}
            errors = [
                {"To_Account": account, "ErrorCode": outcome.code, "ErrorInfo": outcome.text}
                for outcome in dict.fromkeys(outcome for _, outcome in part)
            ]
            yield _json(user), [_json(error) for error in errors]


def _document(
    message_id: str, users: list[str], errors: list[str], code: str, reason: str
) -> Parked:
    body = (
        f'{{"UserTags":[{",".join(users)}],"Errors":[{",".join(errors)}],'
        f'"SourceMessageId":{_json(message_id)}}}'
    )
    return Parked(message_id, body, code, reason)


def _summary(failed: list[Failed]) -> tuple[str, str]:
    """The code most users failed with, and it with its meaning in words."""
    (code, text), _ = Counter((o.code, o.text) for _, _, o in failed).most_common(1)[0]
    if not isinstance(code, int):
        return code, _reason(text)
    _, meaning = CODES.get(code, (None, ""))
    return str(code), _reason(": ".join(filter(None, (str(code), meaning, text))))


def _reason(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:MAX_REASON])


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def send_parked(
    client: "SQSClient",
    queue_url: str,
    parked: Iterable[Parked],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> set[str]:
    """Send to the dead-letter queue, several batches at a time, until `deadline` (of the clock).

    Returns the source messages of which SQS did not confirm every document.
    """
    fit: list[Parked] = []
    unsent: set[str] = set()
    for document in parked:
        if document.size() <= MAX_BYTES:
            fit.append(document)
        else:
            unsent.add(document.message_id)
    executor = ThreadPoolExecutor(SENDERS)
    futures: dict[Future[set[str]], set[str]] = {
        executor.submit(_send, client, queue_url, batch): {one.message_id for one in batch}
        for batch in _batches(fit)
    }
    done, late = wait(futures, max(0.0, deadline - clock()))
    executor.shutdown(wait=False, cancel_futures=True)
    return unsent.union(*(future.result() for future in done), *(futures[one] for one in late))


def _batches(documents: list[Parked]) -> Iterator[list[Parked]]:
    batch: list[Parked] = []
    size = 0
    for document in documents:
        if batch and (len(batch) == MAX_ENTRIES or size + document.size() > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += document.size()
    if batch:
        yield batch


def _send(client: "SQSClient", queue_url: str, batch: list[Parked]) -> set[str]:
    """Send one batch; the source messages that SQS did not confirm."""
    entries = [_entry(str(index), document) for index, document in enumerate(batch)]
    try:
        reply = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
    except (ClientError, ParamValidationError):
        if len(batch) > 1:  # one bad document must not keep the others
            return set().union(*(_send(client, queue_url, [document]) for document in batch))
        return {batch[0].message_id}
    except BotoCoreError:
        return {document.message_id for document in batch}
    sent = {row["Id"] for row in reply.get("Successful", [])}
    return {one.message_id for index, one in enumerate(batch) if str(index) not in sent}


def _entry(entry_id: str, document: Parked) -> Any:
    return {
        "Id": entry_id,
        "MessageBody": document.body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in document.attributes().items()
        },
    }
