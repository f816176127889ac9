"""What Lambda's event source mapping does between SQS and the function: events, and replies read.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (2026-11)
"""

from dataclasses import dataclass
from typing import Any

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:remove-tags"


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function of its invocation."""

    seconds: float
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return round(self.seconds * 1000)


def record(message: Any) -> dict[str, Any]:
    """A record of an event from a message as ReceiveMessage gives it, with all attributes."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {"stringValue": value.get("StringValue"), "dataType": value["DataType"]}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def made_up_record(message_id: str, body: str, **attributes: str) -> dict[str, Any]:
    """A record of an event for a message that no queue ever held, with its message attributes."""
    return {
        "messageId": message_id,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795480000000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795480000001",
        },
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in attributes.items()
        },
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def kept(reply: Any, ids: set[str]) -> set[str]:
    """The ids of a batch that stay on the queue after this reply of the function.

    The whole batch stays when the reply breaks the contract in any way.
    """
    if reply is None or reply == {}:
        return set()
    failures = reply.get("batchItemFailures", "") if isinstance(reply, dict) else ""
    rows = [] if failures is None else failures
    if not isinstance(rows, list):  # an error of the function has no batchItemFailures
        return set(ids)
    named = [row.get("itemIdentifier") if isinstance(row, dict) else None for row in rows]
    known = [one for one in named if isinstance(one, str) and one in ids]
    return set(known) if len(known) == len(named) else set(ids)
