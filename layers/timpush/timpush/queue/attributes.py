"""A message and its attributes, which are a contract between senders, worker and operator.

A sender may set `RequestId`, `JobId` and `Chunk`. The worker adds `EarlierReceives` to what it
puts back on the queue, and `ErrorCode`, `SourceMessageId` and `Reason` to a dead letter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1024 * 1024
"""A message with its attributes, and a SendMessageBatch as a whole.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
(2025-08).
"""
MAX_ATTRIBUTES = 10
"""Attributes of a message; the same source."""

MAX_DELAY_SECONDS = 900
"""The longest DelaySeconds of a message.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
(2026-11).
"""

REQUEST_ID = "RequestId"
JOB_ID = "JobId"
CARRIED = {REQUEST_ID: "request_id", JOB_ID: "job_id"}
"""Attributes that stay with the users from the first message to the dead-letter queue, and their
keys in log lines."""
MAX_CARRIED = 200
CHUNK = "Chunk"
"""Which part of its job the message is."""
EARLIER_RECEIVES = "EarlierReceives"
"""How often the messages were received that this one is the rest of, as a decimal number."""
ERROR_CODE = "ErrorCode"
SOURCE_MESSAGE_ID = "SourceMessageId"
REASON = "Reason"

Record = Mapping[str, Any]
"""A message in an event of SQS."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send; `attributes` are all of type String; `group_id`, if any, is its tenant.

    It becomes visible after `delay` seconds, at most `MAX_DELAY_SECONDS`.
    """

    body: str
    attributes: dict[str, str]
    group_id: str = ""
    delay: int = 0

    def size(self) -> int:
        """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
        return count_bytes(self.body) + sum(
            attribute_bytes(name, value) for name, value in self.attributes.items()
        )


def count_bytes(text: str) -> int:
    """The length of a text as SQS counts it."""
    return len(text.encode(errors="surrogatepass"))


def attribute_bytes(name: str, value: str) -> int:
    """The size of an attribute as SQS counts it: its name, its type (String) and its value."""
    return count_bytes(name) + len("String") + count_bytes(value)


def read_attribute(record: Record, name: str) -> str:
    """A text attribute of a record, "" when it has none."""
    attribute = (record.get("messageAttributes") or {}).get(name) or {}
    return attribute.get("stringValue") or ""


def read_attributes(record: Record) -> dict[str, str]:
    """All text attributes of a record. Binary ones are left out: nothing here sets any."""
    attributes = record.get("messageAttributes") or {}
    return {name: value for name in attributes if (value := read_attribute(record, name))}


def read_carried(record: Record) -> dict[str, str]:
    """The attributes of a record that its dead letters and its log lines have too."""
    if not record.get("messageAttributes"):
        return {}
    values = {name: read_attribute(record, name) for name in CARRIED}
    return {name: value for name, value in values.items() if value and len(value) <= MAX_CARRIED}


def count_receives(record: Record) -> int:
    """How often the record was received, and before it the messages that it is the rest of."""
    received = record.get("attributes", {}).get("ApproximateReceiveCount", "1")
    return int(received) + _number(read_attribute(record, EARLIER_RECEIVES))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
