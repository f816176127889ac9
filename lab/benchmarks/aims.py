"""What was aimed at, and whether this run met it."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.fleet import BATCH_PROCESSOR, OURS, PARSING
from benchmarks.packages import APPLICATION, LEAST
from benchmarks.results import Results
from benchmarks.throughput import LEAST_CALLS, LIMIT_USERS

FULL_PART = 0.95
MOST_OF_FLOOR = 3.0
LEAST_BELOW_PEER = 25.0
MOST_GROWTH = 1.1
MOST_OF_LEAST_START = 1.15
MOST_MEMORY = 128 * 2**20

REASONS = {
    ("users-1", "users-100"): (
        "Users a second: a batch ends by waiting for its last reply. Meanwhile that environment's "
        "share of the calls is unused: the shorter the batch and the longer the latency, the more "
        "of it. Larger batches (`BatchSize`, messages of many users) are the remedy: `make budget` "
        "has the figures of the largest there are."
    ),
    ("floor-1", "floor-100"): (
        "Processor time to json.loads: json.loads alone makes no call, and a call costs processor "
        "time of its own (HTTP through urllib3, a hundred users written as JSON, a thread that "
        "waits for the reply). The column of json.loads and the calls shows the least with them."
    ),
    ("peer",): (
        "Processor time to BatchProcessor: its calls are made without a rest here, which makes "
        "each of them cheaper than one that waits for a reply as long as TIMPush's."
    ),
    ("linear",): (
        "Growth: the objects of a larger batch no longer fit the processor's caches. The column of "
        "json.loads alone shows what part of it any way has."
    ),
    ("cold",): (
        "Cold path: beyond the least there are the imports of Powertools' logger and metrics and "
        "of the application itself, and, with a layer built without Python 3.13, the compiling of "
        "all that is in it."
    ),
}
"""Why aims are missed where the limit lies, by their keys; shown only when one is missed."""


@dataclass(frozen=True)
class Aim:
    """One aim: `met` and `measured` are of this run. `key` names the reason."""

    key: str
    text: str
    measured: str
    met: bool


def judge(results: Results) -> list[Aim]:
    """Hold the results against each aim."""
    return [
        *throughput(results),
        *processor(results),
        *cold_path(results),
        *memory(results),
    ]


def throughput(results: Results) -> Iterator[Aim]:
    """Calls and users a second."""
    rates = results.throughput.rates
    calls = max(one.calls for (way, users, _), one in rates.items() if (way, users) == (OURS, 1))
    text = f"{LEAST_CALLS} calls for 1,000 messages of one user"
    yield Aim("calls", text, f"{calls:.1f} at most", calls <= LEAST_CALLS)
    for users in (1, 100):
        found = {
            latency: one.users_a_second
            for (way, number, latency), one in rates.items()
            if (way, number) == (OURS, users)
        }
        shown = ", ".join(f"{found[one]:,.0f} at {one * 1000:.0f} ms" for one in sorted(found))
        yield Aim(
            f"users-{users}",
            f"{FULL_PART * LIMIT_USERS:,.0f} of the {LIMIT_USERS:,} users a second that the limits "
            f"allow, {users} users a message".replace("1 users", "one user"),
            shown,
            min(found.values()) >= FULL_PART * LIMIT_USERS,
        )


def processor(results: Results) -> Iterator[Aim]:
    """Processor time a record."""
    cost, plan = results.processor, results.plan
    packed = max(cost.sizes(100))
    for messages, users in ((plan.middle, 1), (plan.large, 1), (packed, 100)):
        floor = cost.per_record(PARSING, messages, users)
        ratio = cost.per_record(OURS, messages, users) / floor
        yield Aim(
            f"floor-{users}",
            f"processor time of {messages:,} messages of {users} users at most "
            f"{MOST_OF_FLOOR:.0f} times that of json.loads alone".replace("1 users", "one user"),
            f"{ratio:.2f} times",
            ratio <= MOST_OF_FLOOR,
        )
    for messages in (plan.middle, plan.large):
        mine = cost.per_record(OURS, messages)
        ratio = cost.per_record(BATCH_PROCESSOR, messages) / mine
        yield Aim(
            "peer",
            f"at least {LEAST_BELOW_PEER:.0f} times less than BatchProcessor for {messages:,} "
            "messages of one user",
            f"{ratio:.1f} times less",
            ratio >= LEAST_BELOW_PEER,
        )
    ratio = cost.waiting[BATCH_PROCESSOR] / cost.waiting[OURS]
    yield Aim(
        "peer-waiting",
        f"at least {LEAST_BELOW_PEER:.0f} times less than BatchProcessor for "
        f"{plan.waiting_messages:,} messages, each call answered after "
        f"{plan.waiting_latency * 1000:.0f} ms",
        f"{ratio:.1f} times less",
        ratio >= LEAST_BELOW_PEER,
    )
    growth = cost.per_record(OURS, plan.large) / cost.per_record(OURS, plan.middle)
    yield Aim(
        "linear",
        f"grows in line with the batch: a record of {plan.large:,} costs at most {MOST_GROWTH} "
        f"times one of {plan.middle:,}",
        f"{growth:.2f} times",
        growth <= MOST_GROWTH,
    )


def cold_path(results: Results) -> Iterator[Aim]:
    """From a process's start to the first reply."""
    cold = results.cold
    for where, seconds in (("emulator", cold.emulator), ("plain process", cold.plain)):
        ratio = seconds[APPLICATION] / seconds[LEAST]
        yield Aim(
            "cold",
            f"cold path at most {MOST_OF_LEAST_START} times the least ({where})",
            f"{ratio:.2f} times",
            ratio <= MOST_OF_LEAST_START,
        )


def memory(results: Results) -> Iterator[Aim]:
    """Peak memory above that of the bare runtime."""
    peaks = {key: peak for key, peak in results.memory.peaks.items() if key[0] == APPLICATION}
    above = max(peaks.values()) - results.memory.bare
    text = f"less than {MOST_MEMORY // 2**20} MiB above the bare runtime for the largest events"
    yield Aim("memory", text, f"{above / 2**20:.0f} MiB at most", above < MOST_MEMORY)
