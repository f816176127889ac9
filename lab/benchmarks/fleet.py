"""The servers and the workers of a comparison, each a process of its own."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.events import accounts
from local.emulator import aws_environment, emulator
from local.stack import client
from reliability.processes import control, end, read_line, serving, start
from support.environment import worker_environment

SECRET_ID = "timpush-usersig"
CALLS_PER_SECOND = 100
OURS = "ours"
BATCH_PROCESSOR = "batch_processor"
THREADS = "threads"
RATE_LIMIT = "rate_limit"
PARSING = "parsing"
PACKED = "packed"
OTHERS = (BATCH_PROCESSOR, THREADS, RATE_LIMIT, PARSING, PACKED)
HANDLERS = {OURS: "remove_tags_worker.app"} | {way: f"benchmarks.peers.{way}" for way in OTHERS}
PEERS = (BATCH_PROCESSOR, THREADS, RATE_LIMIT)
NAMES = {
    OURS: "this application",
    BATCH_PROCESSOR: "BatchProcessor, a call a record",
    THREADS: "ten threads, a call a record",
    RATE_LIMIT: "API destination, a call a record",
    PARSING: "json.loads alone",
    PACKED: "json.loads and the calls",
}
ORDER_SECONDS = 130.0


class Batch(NamedTuple):
    """One invocation: messages, processor seconds, seconds, messages reported as failed."""

    messages: int
    processor_seconds: float
    seconds: float
    failed: int


@dataclass(frozen=True)
class Servers:
    """The stand-in for TIMPush by URL, and the variables of a function that calls it."""

    timpush: str
    variables: dict[str, str]


@contextmanager
def servers(users: int, calls_per_second: int = CALLS_PER_SECOND) -> Iterator[Servers]:
    """Run both: AWS with the secret, and TIMPush, which knows so many users.

    TIMPush allows `calls_per_second`, 0 for any number.
    """
    arguments = ("--calls-per-second", str(calls_per_second))
    with emulator() as (aws, _), serving("timpush_server", *arguments) as timpush:
        control(timpush, "PUT", "tags", {one: ["gold"] for one in accounts(users)})
        signed = json.dumps(control(timpush, "POST", "usersig", {}))
        client("secretsmanager", aws).create_secret(Name=SECRET_ID, SecretString=signed)
        queues = {
            variable: client("sqs", aws).create_queue(QueueName=name)["QueueUrl"]
            for variable, name in (("QUEUE_URL", "queue"), ("DEAD_LETTER_QUEUE_URL", "dead"))
        }
        yield Servers(timpush, function_environment(aws, timpush, queues))


def function_environment(aws: str, timpush: str, queues: dict[str, str]) -> dict[str, str]:
    """The variables of the functions, the worker's as the template sets them by default."""
    return aws_environment(aws) | worker_environment(
        TIMPUSH_ENDPOINT_URL=timpush,
        TIMPUSH_SECRET_ID=SECRET_ID,
        TIMPUSH_CALLS_PER_SECOND=CALLS_PER_SECOND,
        POWERTOOLS_SERVICE_NAME="benchmarks",
        POWERTOOLS_METRICS_NAMESPACE="TimPushRemoveTag",
        **queues,
    )


@dataclass(frozen=True)
class Fleet:
    """Workers by way, each an environment that is warm after its first order."""

    workers: dict[str, list["Popen[str]"]]

    def order(self, way: str, orders: Sequence[dict[str, Any]]) -> list[list[Batch]]:
        """Give one order to each of the first workers of a way; what each did."""
        chosen = self.workers[way][: len(orders)]
        for worker, one in zip(chosen, orders, strict=True):
            assert worker.stdin
            print(json.dumps(one), file=worker.stdin, flush=True)
        rows = [json.loads(read_line(worker, ORDER_SECONDS)) for worker in chosen]
        return [[Batch(*row) for row in mine] for mine in rows]

    def batch(self, way: str, messages: int, users: int) -> Batch:
        """Let one environment of a way work on one batch.

        Raises:
            RuntimeError: a message was reported as failed, so it is no measurement.
        """
        [[batch]] = self.order(way, [{"messages": messages, "users": users, "most": 1}])
        if batch.failed:
            raise RuntimeError(f"{way}: {batch.failed} of {messages} messages failed")
        return batch


@contextmanager
def fleet(environments: dict[str, int], variables: dict[str, str]) -> Iterator[Fleet]:
    """Start so many environments of each way; all have worked on one small batch."""
    with TemporaryDirectory(prefix="benchmarks-") as folder, ExitStack() as stack:
        workers: dict[str, list[Popen[str]]] = {way: [] for way in environments}
        for way, number in environments.items():
            for _ in range(number):
                arguments = ("--handler", HANDLERS[way], "--log", str(Path(folder) / way))
                worker = start("benchmarks.worker", *arguments, environment=variables)
                stack.callback(end, worker)
                workers[way].append(worker)
        for worker in [one for mine in workers.values() for one in mine]:
            if read_line(worker) != "ready":
                raise RuntimeError("a worker did not start")
        ready = Fleet(workers)
        for way, mine in workers.items():
            ready.order(way, [{"messages": 1, "users": 1, "most": 1}] * len(mine))
            time.sleep(0.1)
        yield ready
