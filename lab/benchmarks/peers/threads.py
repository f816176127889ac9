"""One call a record from ten threads, then the partial batch reply."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from benchmarks.peers.batch_processor import NotRemovedError, record_handler

THREADS = 10


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    def failed(record: dict[str, Any]) -> str:
        try:
            record_handler(SQSRecord(record), context)
        except NotRemovedError:
            return str(record["messageId"])
        return ""

    with ThreadPoolExecutor(THREADS) as executor:
        ids = list(executor.map(failed, event["Records"]))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in ids if one]}
