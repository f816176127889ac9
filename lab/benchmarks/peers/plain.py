"""A handler as one writes it first: 200 and ErrorCode 0 are success, ErrorList is not read."""

from typing import Any

from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from benchmarks.peers.batch_processor import NotRemovedError, call, processor


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )


def record_handler(record: SQSRecord) -> None:
    status, answer = call(record.json_body)
    if status != 200 or answer["ErrorCode"] != 0:
        raise NotRemovedError(f"{status} {answer.get('ErrorCode')}")
