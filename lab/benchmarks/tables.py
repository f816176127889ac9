"""The tables of the document, each from the results alone."""

from collections.abc import Iterable, Sequence

from benchmarks import prices
from benchmarks.aims import judge
from benchmarks.fleet import (
    BATCH_PROCESSOR,
    NAMES,
    OURS,
    PACKED,
    PARSING,
    RATE_LIMIT,
    THREADS,
)
from benchmarks.packages import APPLICATION, LEAST
from benchmarks.processor_cost import WAYS
from benchmarks.results import Results
from benchmarks.throughput import CASES, LEAST_CALLS, LIMIT_USERS

MIB = 2**20


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A table; so many columns at the left hold text, the others hold figures."""
    marks = [*["---"] * text, *["---:"] * (len(head) - text)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def short(way: str) -> str:
    """A way's name without what all of them have in common."""
    return NAMES[way].partition(",")[0]


Table = tuple[Sequence[str], Iterable[Sequence[str]]]


def aims(results: Results) -> str:
    """Each aim, and whether this run met it."""
    rows = [(aim.text, aim.measured, "yes" if aim.met else "no") for aim in judge(results)]
    return table(("Aim", "Measured", "Met"), rows, text=3)


def throughput(results: Results) -> Table:
    latencies = results.plan.latencies
    rates = results.throughput.rates
    rows = [
        (
            NAMES[way],
            str(users),
            f"{latency * 1000:.0f}",
            f"{one.users_a_second:,.0f}",
            f"{100 * one.users_a_second / LIMIT_USERS:.1f} %",
            f"{one.calls:,.0f}",
            f"{one.refused:,.0f}",
        )
        for way, users in CASES
        for latency in latencies
        for one in [rates[way, users, latency]]
    ]
    floor = ("the limits", "", "", f"{LIMIT_USERS:,}", "100.0 %", str(LEAST_CALLS), "0")
    head = (
        "Way",
        "Users a message",
        "Latency, ms",
        "Users a second",
        "Of the limits",
        "Calls for 1,000 messages",
        "Refused of them",
    )
    return head, [*rows, floor]


def processor(results: Results) -> Table:
    return processor_table(results, 1)


def processor_packed(results: Results) -> Table:
    return processor_table(results, 100)


def processor_table(results: Results, users: int) -> Table:
    """Microseconds a message of each way by size of the batch, with ratios."""
    cost = results.processor
    rows = []
    for size in cost.sizes(users):
        each = {way: cost.per_record(way, size, users) * 1e6 for way in WAYS}
        rows.append(
            (
                f"{size:,}",
                *(f"{each[way]:,.1f}" for way in WAYS),
                f"{each[OURS] / each[PARSING]:.1f}",
                f"{each[OURS] / each[PACKED]:.1f}",
                f"{each[BATCH_PROCESSOR] / each[OURS]:.1f}",
                f"{each[THREADS] / each[OURS]:.1f}",
            )
        )
    what = "one user" if users == 1 else f"{users} users"
    head = (
        f"Messages of {what}",
        *(f"{short(way)}, µs" for way in WAYS),
        "this : json.loads",
        "this : with the calls",
        "BatchProcessor : this",
        "threads : this",
    )
    return head, rows


def processor_waiting(results: Results) -> Table:
    """The same when a reply takes a while."""
    found, messages = results.processor.waiting, results.plan.waiting_messages
    rows = [
        (NAMES[way], f"{seconds / messages * 1e6:,.1f}", f"{seconds / found[OURS]:.1f}")
        for way, seconds in found.items()
    ]
    return ("Way", "µs a message", "to this"), rows


def profile(results: Results) -> str:
    """The functions that take the most processor time of their own."""
    found = results.profile
    if not found.own:
        return f"Not profiled: {found.error or 'no samples'}."
    rows = [
        (f"`{function}`", f"`{file}`", f"{100 * part:.1f} %") for function, file, part in found.own
    ]
    words = (
        f"Of {found.samples:,} samples of this application on batches of "
        f"{results.plan.large:,} messages of one user, by function, without what it calls. What "
        "is written in C counts for the function that calls it; time in the system, such as the "
        "sending of a request, is not seen."
    )
    parts = [(f"`{name}`", f"{100 * part:.1f} %") for name, part in found.parts]
    return (
        f"{words}\n\n{table(('Function', 'File', 'Own time'), rows, text=2)}\n\n"
        "The same samples by the step of the invocation that they were taken in, with all that it "
        f"calls:\n\n{table(('Step', 'Time'), parts)}"
    )


def cold(results: Results) -> Table:
    starts = results.cold
    rows = [
        (
            name,
            f"{starts.emulator[name] * 1000:.0f}",
            f"{starts.emulator[name] / starts.emulator[LEAST]:.2f}",
            f"{starts.plain[name] * 1000:.0f}",
            f"{starts.plain[name] / starts.plain[LEAST]:.2f}",
        )
        for name in starts.emulator
    ]
    head = ("", "Emulator, ms", "to the least", "Plain process, ms", "to the least")
    return head, rows


def phases(results: Results) -> Table:
    rows = [
        (name, *(f"{1000 * one:.0f}" for one in (each.interpreter, each.imports, each.batch)))
        for name, each in results.cold.phases.items()
    ]
    return ("", "Interpreter, ms", "Imports, ms", "First batch, ms"), rows


def imports(results: Results) -> Table:
    found = results.cold.imports
    order = sorted(
        {package for mine in found.values() for package in mine},
        key=lambda package: -found[APPLICATION].get(package, 0.0),
    )
    rows = [
        (package, *(f"{1000 * mine.get(package, 0.0):.1f}" for mine in found.values()))
        for package in order
    ]
    sums = ("all", *(f"{1000 * sum(mine.values()):.1f}" for mine in found.values()))
    return ("Package", *(f"{name}, ms" for name in found)), [*rows, sums]


def memory(results: Results) -> Table:
    bare = results.memory.bare
    rows = [
        (
            name,
            str(users),
            f"{messages:,}",
            f"{size / MIB:.2f}",
            f"{peak / MIB:.0f}",
            f"{(peak - bare) / MIB:.0f}",
        )
        for (name, users, messages, size), peak in results.memory.peaks.items()
    ]
    head = ("", "Users a message", "Messages", "Event, MiB", "Peak, MiB", "Above bare, MiB")
    return head, [*rows, ("bare runtime", "", "", "", f"{bare / MIB:.0f}", "0")]


def cost(results: Results) -> Table:
    found = results.cost
    rows = []
    for users, _ in results.plan.cost_messages:
        own = found.terms[OURS, users].total
        for way in (OURS, BATCH_PROCESSOR, THREADS, RATE_LIMIT):
            terms, batch = found.terms[way, users], found.durations.get((way, users))
            rows.append(
                (
                    NAMES[way],
                    str(users),
                    f"{batch.messages:,}" if batch else "",
                    f"{batch.seconds:.3f}" if batch else "",
                    *(f"{part:.4f}" for part in vars(terms).values()),
                    f"{terms.total:.4f}",
                    f"{terms.total / own:.1f}",
                )
            )
    head = (
        "Way",
        "Users a message",
        "Messages a batch",
        "Seconds a batch",
        *("SQS", "Lambda", "GB-s", "Pipes", "Calls", "All", "to this"),
    )
    return head, rows


def price_list() -> str:
    """The list prices, as data."""
    rows = [
        (one.unit, one.source, one.date, f"{one.dollars:.10f}".rstrip("0"), f"{one.per:,.0f}")
        for one in prices.ALL
    ]
    return table(("Price of a", "Source", "Date", "Dollars", "for"), rows, text=3)


def artefact(results: Results) -> Table:
    rows = [(name, f"{size:,}") for name, size in results.artefact.items()]
    return ("Part", "Zip, bytes"), rows


TABLES = {
    "throughput": throughput,
    "processor": processor,
    "processor_packed": processor_packed,
    "processor_waiting": processor_waiting,
    "cold": cold,
    "phases": phases,
    "imports": imports,
    "memory": memory,
    "cost": cost,
    "artefact": artefact,
}
