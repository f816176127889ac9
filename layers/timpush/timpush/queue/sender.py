"""Sends messages to a queue: in batches, several at a time, every entry's result checked."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BYTES = 1024 * 1024
"""A message with its attributes, and a SendMessageBatch as a whole.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
(2025-08).
"""
MAX_ENTRIES = 10
SENDERS = 8
PAUSES = (0.1, 0.4)
"""Seconds before each further attempt at entries that were not taken."""

REQUEST_ID = "RequestId"
JOB_ID = "JobId"
CARRIED = {REQUEST_ID: "request_id", JOB_ID: "job_id"}
"""Message attributes that stay with the users from the first message to a parked one, and the
keys they have in log lines."""
MAX_CARRIED = 200
JOB_USERS = "JobUsers"
"""Message attribute: how many users the job has in all its messages, as a decimal number."""

_WHOLE_QUEUE = (
    "AccessDenied",
    "DoesNotExist",
    "NonExistentQueue",
    "Throttl",
    "KMS",
    "Kms",
    "Token",
)
"""Parts of the codes of refusals that no choice of entries can mend."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send; `attributes` are all of type String; `group_id`, if any, is its tenant."""

    body: str
    attributes: dict[str, str]
    group_id: str = ""

    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        attributes = sum(len(k) + 6 + _bytes(v) for k, v in self.attributes.items())
        return _bytes(self.body) + attributes


Entry = tuple[int, Message]
"""A message and its position among all that are to be sent."""
Unsent = dict[int, str]
"""The position of each message that SQS did not confirm, and the code of the reason."""


def send(
    client: "SQSClient",
    queue_url: str,
    messages: Sequence[Message],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> set[int]:
    """Send messages until `deadline` (of the clock); what SQS does not take is tried again.

    Returns the positions of the messages that SQS did not confirm.
    """
    fit = [entry for entry in enumerate(messages) if entry[1].size() <= MAX_BYTES]
    unsent = set(range(len(messages))).difference(position for position, _ in fit)
    executor = ThreadPoolExecutor(SENDERS)

    def send_all(batch: list[Entry]) -> Unsent:
        return send_batch(client, queue_url, batch, deadline, clock, sleep)

    futures = {executor.submit(send_all, batch): batch for batch in batches(fit)}
    done, late = wait(futures, max(0.0, deadline - clock()))
    executor.shutdown(wait=False, cancel_futures=True)
    for future in done:
        unsent.update(future.result())
    return unsent.union(position for future in late for position, _ in futures[future])


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries into batches that SQS takes: at most 10, at most 1 MiB."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        entry_size = entry[1].size()
        if batch and (len(batch) == MAX_ENTRIES or size + entry_size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch


def send_batch(
    client: "SQSClient",
    queue_url: str,
    batch: list[Entry],
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    pauses: Sequence[float] = PAUSES,
) -> Unsent:
    """Send one batch, and after each pause again what SQS did not take of it."""
    unsent = _try(client, queue_url, batch)
    for pause in pauses:
        if not unsent or clock() + pause >= deadline:
            break
        sleep(pause)
        unsent = _try(client, queue_url, [entry for entry in batch if entry[0] in unsent])
    return unsent


def _try(client: "SQSClient", queue_url: str, batch: list[Entry]) -> Unsent:
    try:
        reply = client.send_message_batch(QueueUrl=queue_url, Entries=_entries(batch))
    except (ClientError, ParamValidationError) as error:
        if len(batch) > 1 and not _whole_queue(error):  # one bad entry must not keep the others
            tries = [_try(client, queue_url, [entry]) for entry in batch]
            return {position: code for unsent in tries for position, code in unsent.items()}
        return dict.fromkeys((position for position, _ in batch), _code(error))
    except BotoCoreError as error:
        return dict.fromkeys((position for position, _ in batch), type(error).__name__)
    sent = {row["Id"] for row in reply.get("Successful", [])}
    codes = {row["Id"]: row.get("Code", "") for row in reply.get("Failed", [])}
    return {
        position: codes.get(str(position)) or "NotConfirmed"
        for position, _ in batch
        if str(position) not in sent
    }


def _whole_queue(error: ClientError | ParamValidationError) -> bool:
    if isinstance(error, ParamValidationError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return status >= 500 or any(part in _code(error) for part in _WHOLE_QUEUE)


def _code(error: ClientError | ParamValidationError) -> str:
    if isinstance(error, ParamValidationError):
        return type(error).__name__
    return error.response.get("Error", {}).get("Code", "ClientError")


def _entries(batch: list[Entry]) -> Any:
    return [
        {
            "Id": str(position),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            },
            **({"MessageGroupId": message.group_id} if message.group_id else {}),
        }
        for position, message in batch
    ]


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
