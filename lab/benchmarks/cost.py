"""Dollars for a million users, from measured durations and list prices.

For each way: M = 1,000,000 / users a message is the number of messages.

    SQS      requests = M / 10 x (chunks sent + chunks received + 1 deletion), ten messages each;
             chunks = 10 messages' bytes / 64 KiB, rounded up
    Lambda   requests = M / messages a batch
    GB-s     = M / messages a batch x seconds a batch x memory in GB
    Pipes    requests = M x a message's bytes / 64 KiB, rounded up; calls = M
"""

import math
from dataclasses import dataclass
from statistics import median

import yaml

from benchmarks import prices
from benchmarks.events import body_bytes
from benchmarks.fleet import BATCH_PROCESSOR, OURS, RATE_LIMIT, THREADS, Fleet, Servers
from benchmarks.plan import Plan
from benchmarks.progress import report
from local.emulator import ROOT
from reliability.processes import control

MILLION = 1_000_000
SQS_MESSAGES = 10
"""Messages that one request to SQS sends, receives or deletes."""
FUNCTION_WAYS = (OURS, BATCH_PROCESSOR, THREADS)


@dataclass(frozen=True)
class Duration:
    """How long a batch takes, in seconds."""

    messages: int
    seconds: float


@dataclass(frozen=True)
class Terms:
    """Dollars for a million users, by what is paid for."""

    sqs: float
    requests: float = 0.0
    gb_seconds: float = 0.0
    pipes: float = 0.0
    calls: float = 0.0

    @property
    def total(self) -> float:
        return self.sqs + self.requests + self.gb_seconds + self.pipes + self.calls


@dataclass(frozen=True)
class Cost:
    """Durations and terms by (way, users a message). A rate limit over all has no duration."""

    memory_gb: float
    latency: float
    durations: dict[tuple[str, int], Duration]
    terms: dict[tuple[str, int], Terms]


def measure(plan: Plan, servers: Servers, fleet: Fleet) -> Cost:
    """Let one environment of each way work on batches in turn, repeatedly; then reckon."""
    control(servers.timpush, "PUT", "settings", {"latency": plan.cost_latency})
    found: dict[tuple[str, int, int], list[float]] = {}
    for repetition in range(plan.repetitions):
        report(f"round {repetition + 1} of {plan.repetitions}")
        for users, ours in plan.cost_messages:
            for way in FUNCTION_WAYS:
                messages = ours if way == OURS else plan.peer_cost_messages
                seconds = fleet.batch(way, messages, users).seconds
                found.setdefault((way, users, messages), []).append(seconds)
    durations = {
        (way, users): Duration(messages, median(mine))
        for (way, users, messages), mine in found.items()
    }
    memory_gb = worker_memory_gb()
    terms = {key: function_terms(key[1], one, memory_gb) for key, one in durations.items()}
    terms |= {(RATE_LIMIT, users): pipe_terms(users) for users, _ in plan.cost_messages}
    return Cost(memory_gb, plan.cost_latency, durations, terms)


def worker_memory_gb() -> float:
    """The memory that the template gives the worker."""
    template = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Loader)  # noqa: S506
    megabytes: int = template["Resources"]["RemoveTagsWorker"]["Properties"]["MemorySize"]
    return megabytes / 1024


class _Loader(yaml.SafeLoader):
    """Reads a template, and None for what CloudFormation would put in."""


_Loader.add_multi_constructor("!", lambda *_: None)


def function_terms(users: int, batch: Duration, memory_gb: float) -> Terms:
    """What a million users cost with a function that takes so long for a batch."""
    batches = MILLION / users / batch.messages
    return Terms(
        sqs=sqs_requests(users) * prices.SQS.each,
        requests=batches * prices.LAMBDA.each,
        gb_seconds=batches * batch.seconds * memory_gb * prices.GB_SECOND.each,
    )


def pipe_terms(users: int) -> Terms:
    """What a million users cost with a pipe from the queue to an API destination."""
    messages = MILLION / users
    return Terms(
        sqs=sqs_requests(users) * prices.SQS.each,
        pipes=messages * chunks(body_bytes(users)) * prices.PIPES.each,
        calls=messages * prices.DESTINATION.each,
    )


def sqs_requests(users: int) -> float:
    """Requests to SQS for a million users: sent, received and deleted ten messages at a time."""
    tens = MILLION / users / SQS_MESSAGES
    return tens * (2 * chunks(SQS_MESSAGES * body_bytes(users)) + 1)


def chunks(payload_bytes: int) -> int:
    """For how many requests a payload counts."""
    return max(1, math.ceil(payload_bytes / prices.CHUNK_BYTES))
