"""One call a record behind a rate limit over all, as EventBridge API destinations make them.

Calls start evenly, whether or not earlier ones were answered. The code is AWS's there, not the
user's, so its processor time is not looked at.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from benchmarks.peers.batch_processor import CALL_SECONDS, NotRemovedError, record_handler

CALLS_PER_SECOND = 100
IN_FLIGHT = 64

executor = ThreadPoolExecutor(IN_FLIGHT)
next_start = 0.0


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    def failed(record: dict[str, Any]) -> str:
        try:
            record_handler(SQSRecord(record), context)
        except NotRemovedError:
            return str(record["messageId"])
        return ""

    futures = []
    for record in event["Records"]:
        pace()
        futures.append(executor.submit(failed, record))
        if context.get_remaining_time_in_millis() < CALL_SECONDS * 1000:
            break
    sent = [future.result() for future in futures]
    unsent = [str(record["messageId"]) for record in event["Records"][len(futures) :]]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in sent + unsent if one]}


def pace() -> None:
    """Wait for the next start; time without calls earns none."""
    global next_start  # noqa: PLW0603 - as the limit, it outlives an invocation
    next_start = max(next_start + 1 / CALLS_PER_SECOND, time.monotonic())
    time.sleep(max(0.0, next_start - time.monotonic()))
