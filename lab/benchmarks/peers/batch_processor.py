"""Powertools' BatchProcessor with one call a record, as Powertools' documentation shows it.

https://docs.powertools.aws.dev/lambda/python/latest/utilities/batch/ (2026-11)
"""

import json
import os
import random
from typing import Any
from urllib.parse import urlencode

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
CALL_SECONDS = CONNECT_SECONDS + READ_SECONDS
HEADERS = {"Content-Type": "application/json"}

logger = Logger()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
http = urllib3.PoolManager(
    maxsize=64,
    retries=False,
    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    headers=HEADERS,
)


class NotRemovedError(Exception):
    """The tags of a record were not removed; SQS keeps its message."""


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )


def record_handler(record: SQSRecord, lambda_context: LambdaContext) -> None:
    if lambda_context.get_remaining_time_in_millis() < CALL_SECONDS * 1000:
        raise NotRemovedError("no time left for the call")
    remove(record.json_body)


def remove(document: dict[str, Any]) -> None:
    """Make the one call of a record.

    Raises:
        NotRemovedError: TIMPush did not remove each tag.
    """
    status, answer = call(document)
    if status != 200 or answer.get("ErrorCode") != 0 or answer.get("ErrorList"):
        raise NotRemovedError(f"{status} {answer.get('ErrorCode')}")


def call(document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and the document of the reply; no document unless the status is 200.

    Raises:
        NotRemovedError: there was no reply.
    """
    secret: Any = parameters.get_secret(os.environ["TIMPUSH_SECRET_ID"], transform="json")
    query = {
        "sdkappid": secret["sdkappid"],
        "identifier": secret["identifier"],
        "usersig": secret["usersig"],
        "random": random.getrandbits(32),
        "contenttype": "json",
    }
    url = f"{os.environ['TIMPUSH_ENDPOINT_URL']}/v4/timpush/remove_tag?{urlencode(query)}"
    try:
        reply = http.request("POST", url, body=json.dumps({"UserTags": document["UserTags"]}))
    except urllib3.exceptions.HTTPError as error:
        raise NotRemovedError(type(error).__name__) from None  # its text holds the UserSig
    return reply.status, reply.json() if reply.status == 200 else {}
