"""Sends messages to a queue: in batches, several at a time, every entry's result checked."""

import time
from collections.abc import Callable, Iterator, Sequence
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
CARRIED = {REQUEST_ID: "request_id"}
"""Message attributes that stay with the users from the first message to a parked one, and the
keys they have in log lines."""
MAX_CARRIED = 200

_WHOLE_QUEUE = ("AccessDenied", "DoesNotExist", "NonExistentQueue", "Throttl", "KMS", "Kms")
"""Parts of the codes of refusals that no choice of entries can mend."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send; `attributes` are all of type String."""

    body: str
    attributes: dict[str, str]

    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        attributes = sum(len(k) + 6 + _bytes(v) for k, v in self.attributes.items())
        return _bytes(self.body) + attributes


Entry = tuple[int, Message]
"""A message and its position among all that are to be sent."""


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

    def send_batch(batch: list[Entry]) -> list[Entry]:
        left = _try(client, queue_url, batch)
        for pause in PAUSES:
            if not left or clock() + pause >= deadline:
                break
            sleep(pause)
            left = _try(client, queue_url, left)
        return left

    futures = {executor.submit(send_batch, batch): batch for batch in _batches(fit)}
    done, late = wait(futures, max(0.0, deadline - clock()))
    executor.shutdown(wait=False, cancel_futures=True)
    left = [future.result() for future in done] + [futures[future] for future in late]
    return unsent.union(position for batch in left for position, _ in batch)


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
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


def _try(client: "SQSClient", queue_url: str, batch: list[Entry]) -> list[Entry]:
    """Send one batch; what SQS did not confirm."""
    try:
        reply = client.send_message_batch(QueueUrl=queue_url, Entries=_entries(batch))
    except (ClientError, ParamValidationError) as error:
        if len(batch) > 1 and not _whole_queue(error):  # one bad entry must not keep the others
            return [left for entry in batch for left in _try(client, queue_url, [entry])]
        return batch
    except BotoCoreError:
        return batch
    sent = {row["Id"] for row in reply.get("Successful", [])}
    return [entry for entry in batch if str(entry[0]) not in sent]


def _whole_queue(error: ClientError | ParamValidationError) -> bool:
    if isinstance(error, ParamValidationError):
        return False
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return status >= 500 or any(part in code for part in _WHOLE_QUEUE)


def _entries(batch: list[Entry]) -> Any:
    return [
        {
            "Id": str(position),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            },
        }
        for position, message in batch
    ]


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
