"""`python -m benchmarks.worker`: one environment of a way to do it, which works when told to.

It prints "ready", then obeys one order a line, each a JSON object:

    messages, users   the batch: so many messages of so many users
    first             messages of the first batch, when it is another
    begin, until      when to begin, and when to begin no further batch (of the monotonic clock)
    most              batches at most
    job, range        the job whose messages they are, if any, and their byte range

and prints what it did as a JSON list with a row a batch: messages, processor seconds of this
process, seconds, messages reported as failed. Reading the event's JSON and writing the reply's,
which Lambda's runtime does in the function's own process and time, are in both.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.events import event
from reliability.budget_worker import LAST_CALL_SECONDS, TIMEOUT_SECONDS
from reliability.processes import report_to_parent, wait_until

Handler = Callable[[Any, Any], Any]
Row = tuple[int, float, float, int]


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function of its invocation; `deadline` is of the monotonic clock."""

    deadline: float
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.deadline - time.monotonic()) * 1000))


def work(handler: Handler, order: dict[str, Any]) -> list[Row]:
    """Obey one order."""
    users, until = order["users"], order.get("until") or math.inf
    job = order.get("job", ""), order.get("range", 0)
    later = event(order["messages"], users, *job)
    text = event(order["first"], users, *job) if order.get("first") else later
    wait_until(order.get("begin", 0.0))
    rows: list[Row] = []
    while time.monotonic() < until and len(rows) < order.get("most", math.inf):
        deadline = min(time.monotonic() + TIMEOUT_SECONDS, until + LAST_CALL_SECONDS)
        rows.append(invoke(handler, text, Context(deadline)))
        text = later
    return rows


def invoke(handler: Handler, text: str, context: Context) -> Row:
    """One invocation, as Lambda's runtime makes it."""
    processor, clock = time.process_time(), time.perf_counter()
    batch = json.loads(text)
    reply = handler(batch, context)
    json.dumps(reply)
    seconds, processor_seconds = time.perf_counter() - clock, time.process_time() - processor
    return len(batch["Records"]), processor_seconds, seconds, len(reply["batchItemFailures"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.worker")
    parser.add_argument("--handler", help="the module of lambda_handler")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    parent = report_to_parent(options.log)
    handler = import_module(options.handler).lambda_handler
    print("ready", file=parent)
    for line in sys.stdin:
        print(json.dumps(work(handler, json.loads(line))), file=parent)


if __name__ == "__main__":
    main()
