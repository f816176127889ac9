"""A DynamoDB that throttles: a share of a process's requests gets the reply of a busy table.

botocore sees the reply as if it came from the network, and tries again as it is configured to.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html (2026-11)
"""

import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

ERROR = {
    "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message": "The level of configured provisioned throughput for the table was exceeded.",
}


class Body(io.BytesIO):
    """The body of a reply, as botocore reads one."""

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self.read()


def throttle(share: float, tell: Callable[[str], object], seed: int | None = None) -> None:
    """Throttle a share of the requests to DynamoDB, from 0 to 1; `tell` gets their operations.

    Holds for clients of boto3's default session that are made later, until the session is replaced.
    """
    rng = random.Random(seed)

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if rng.random() >= share:
            return None
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        tell(operation)
        # A batch is refused as a whole, or comes back unprocessed.
        if operation == "BatchWriteItem" and rng.random() < 0.5:
            left = json.loads(request.body)["RequestItems"]
            return reply(request.url, 200, {"UnprocessedItems": left})
        return reply(request.url, 400, ERROR)

    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION
    hook: Any = answer  # botocore takes the first reply that a hook gives for the server's
    boto3.DEFAULT_SESSION.events.register("before-send.dynamodb", hook)


def reply(url: str, status: int, document: Any) -> AWSResponse:
    """A reply of DynamoDB."""
    headers = HTTPHeaders()
    headers["Content-Type"] = "application/x-amz-json-1.0"
    return AWSResponse(url, status, headers, Body(json.dumps(document).encode()))
