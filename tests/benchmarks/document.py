"""The document, the summary in README.md, and what is printed: tables of the results."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from textwrap import fill

from benchmarks import prices
from benchmarks.aims import REASONS, judge
from benchmarks.fleet import (
    BATCH_PROCESSOR,
    NAMES,
    OURS,
    PACKED,
    PARSING,
    PEERS,
    RATE_LIMIT,
    THREADS,
)
from benchmarks.packages import APPLICATION, LEAST, PEER
from benchmarks.processor_cost import WAYS
from benchmarks.results import Results
from benchmarks.throughput import CASES, LEAST_CALLS, LIMIT_USERS

TEMPLATE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- end of benchmarks -->"
MIB = 2**20
OPPOSITE = {"more": "less", "fewer": "more", "less": "more"}


def render(results: Results, folder: str) -> str:
    """The document; the plots are in `folder`, as a path from the document."""
    plan, cost = results.plan, results.processor
    values = {
        "summary": summary(results),
        "date": results.date,
        "seconds": f"{results.seconds:.0f}",
        "repetitions": str(plan.repetitions),
        "cold_starts": str(plan.cold_starts),
        "environments": str(plan.environments),
        "messages": f"{plan.messages:,}",
        "packed_messages": f"{plan.packed_messages:,}",
        "window_seconds": f"{plan.window_seconds:g}",
        "warm_up_seconds": f"{plan.warm_up_seconds:g}",
        "waiting_messages": f"{plan.waiting_messages:,}",
        "waiting_latency": f"{plan.waiting_latency * 1000:.0f}",
        "cost_latency": f"{plan.cost_latency * 1000:.0f}",
        "peer_cost_messages": str(plan.peer_cost_messages),
        "memory_mb": f"{results.cost.memory_gb * 1024:.0f}",
        "memory_gb": f"{results.cost.memory_gb:g}",
        "fit": (
            f"{cost.fit.fixed * 1000:.2f} ms a batch + {cost.fit.per_user * 1e6:.1f} µs a user"
        ),
        "reasons": reasons(results),
        "plot_users": picture(folder, "users-a-second", "users a second against latency"),
        "plot_drain": picture(folder, "drain-time", "time to work off a backlog"),
        "plot_processor": picture(folder, "processor-cost", "processor time a message"),
        **{name: table(*make(results)) for name, make in TABLES.items()},
        "machine": table(("", ""), results.machine, text=2),
        "aims": aims(results),
        "prices": price_list(),
    }
    values["profile"] = profile(results)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A table; so many columns at the left hold text, the others hold figures."""
    marks = [*["---"] * text, *["---:"] * (len(head) - text)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def picture(folder: str, name: str, text: str) -> str:
    """A plot that follows the page's colours."""
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" '
        f'srcset="{folder}/{name}-dark.svg">\n  <img alt="{text}" '
        f'src="{folder}/{name}-light.svg">\n</picture>'
    )


def summary(results: Results) -> str:
    """The block that README.md has too, between its marks."""
    name, cores = dict(results.machine)["processor"], dict(results.machine)["cores"]
    words = (
        f"Measured side by side in one run on {results.date} ({name}, {cores} cores). TIMPush, "
        f"with a latency of {results.plan.cost_latency * 1000:.0f} ms, and AWS are stand-ins. "
        "The best other way is the best in that row."
    )
    head = ("", "this application", "best other way", "ratio")
    return f"{BEGIN}\n{table(head, summary_rows(results))}\n\n{fill(words, 100)}\n{END}"


def summary_rows(results: Results) -> list[tuple[str, str, str, str]]:
    """What is measured, ours, the best other way with its name, and how the better one stands."""
    plan, rates, cost = results.plan, results.throughput.rates, results.processor
    latency, terms = plan.cost_latency, results.cost.terms
    mine = rates[OURS, 1, latency]
    fastest = max(PEERS, key=lambda way: rates[way, 1, latency].users_a_second)
    fewest = min(PEERS, key=lambda way: rates[way, 1, latency].calls)
    least = min((BATCH_PROCESSOR, THREADS), key=lambda way: cost.waiting[way])
    cheapest = min(PEERS, key=lambda way: terms[way, 1].total)
    fast = rates[fastest, 1, latency].users_a_second
    calls = rates[fewest, 1, latency].calls
    own_cost, peer_cost = (cost.waiting[way] / plan.waiting_messages for way in (OURS, least))
    own_start, peer_start = (results.cold.emulator[one] for one in (APPLICATION, PEER))
    own_memory, peer_memory = (most_memory(results, one) for one in (APPLICATION, PEER))
    own_total, peer_total = terms[OURS, 1].total, terms[cheapest, 1].total
    return [
        (
            "users a second, one user a message",
            f"{mine.users_a_second:,.0f}",
            f"{fast:,.0f} ({short(fastest)})",
            times(mine.users_a_second, fast, "more"),
        ),
        (
            "calls for 1,000 messages of one user",
            f"{mine.calls:,.0f}",
            f"{calls:,.0f} ({short(fewest)})",
            times(calls, mine.calls, "fewer"),
        ),
        (
            f"processor time a message, replies after {plan.waiting_latency * 1000:.0f} ms",
            f"{own_cost * 1e6:,.0f} µs",
            f"{peer_cost * 1e6:,.0f} µs ({short(least)})",
            times(peer_cost, own_cost, "less"),
        ),
        (
            "cold path: start to first reply",
            f"{own_start * 1000:,.0f} ms",
            f"{peer_start * 1000:,.0f} ms ({PEER})",
            times(peer_start, own_start, "less"),
        ),
        (
            f"memory above the bare runtime, {plan.large:,} messages",
            f"{own_memory / MIB:,.0f} MiB",
            f"{peer_memory / MIB:,.0f} MiB ({PEER})",
            times(peer_memory, own_memory, "less"),
        ),
        (
            "dollars for a million users, one user a message",
            f"{own_total:.3f}",
            f"{peer_total:.3f} ({short(cheapest)})",
            times(peer_total, own_total, "less"),
        ),
    ]


def most_memory(results: Results, package: str) -> int:
    """Bytes above the bare runtime, for the event of messages of one user."""
    [peak] = [
        peak
        for (name, users, _, _), peak in results.memory.peaks.items()
        if (name, users) == (package, 1)
    ]
    return peak - results.memory.bare


def short(way: str) -> str:
    """A way's name without what all of them have in common."""
    return NAMES[way].partition(",")[0]


def times(larger: float, smaller: float, word: str) -> str:
    """How many times more, fewer or less ours is; the opposite word when it is not."""
    if larger < smaller:
        larger, smaller, word = smaller, larger, OPPOSITE[word]
    ratio = larger / smaller
    return f"{ratio:,.2f} times {word}" if ratio < 10 else f"{ratio:,.0f} times {word}"


Table = tuple[Sequence[str], Iterable[Sequence[str]]]


def aims(results: Results) -> str:
    """Each aim, and whether this run met it."""
    rows = [(aim.text, aim.measured, "yes" if aim.met else "no") for aim in judge(results)]
    return table(("Aim", "Measured", "Met"), rows, text=3)


def reasons(results: Results) -> str:
    """Why what is missed is missed."""
    missed = {aim.key: aim.text for aim in judge(results) if not aim.met}
    known = {key for keys in REASONS for key in keys}
    lines = [text for keys, text in REASONS.items() if missed.keys() & set(keys)]
    lines += [f"No reason is known: {text}." for key, text in missed.items() if key not in known]
    if not lines:
        return "All are met."
    return "\n".join(fill(f"- {text}", 100, subsequent_indent="  ") for text in lines)


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


def block(text: str) -> str:
    """The summary in a text, with its marks.

    Raises:
        ValueError: there is none, or more than one.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the text must hold {BEGIN} and {END} once")
    return BEGIN + text.partition(BEGIN)[2].partition(END)[0] + END
