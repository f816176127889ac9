"""The document, the summary in README.md, and what is printed: tables of the results."""

from pathlib import Path
from string import Template
from textwrap import fill

from benchmarks.aims import REASONS, judge
from benchmarks.fleet import BATCH_PROCESSOR, OURS, PEERS, THREADS
from benchmarks.packages import APPLICATION, PEER
from benchmarks.results import Results
from benchmarks.tables import MIB, TABLES, aims, price_list, profile, short, table

TEMPLATE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- end of benchmarks -->"
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


def times(larger: float, smaller: float, word: str) -> str:
    """How many times more, fewer or less ours is; the opposite word when it is not."""
    if larger < smaller:
        larger, smaller, word = smaller, larger, OPPOSITE[word]
    ratio = larger / smaller
    return f"{word} by a factor of {ratio:.2f}" if ratio < 10 else f"{ratio:,.0f} times {word}"


def reasons(results: Results) -> str:
    """Why what is missed is missed."""
    missed = {aim.key: aim.text for aim in judge(results) if not aim.met}
    known = {key for keys in REASONS for key in keys}
    lines = [text for keys, text in REASONS.items() if missed.keys() & set(keys)]
    lines += [f"No reason is known: {text}." for key, text in missed.items() if key not in known]
    if not lines:
        return "All are met."
    return "\n".join(fill(f"- {text}", 100, subsequent_indent="  ") for text in lines)


def block(text: str) -> str:
    """The summary in a text, with its marks.

    Raises:
        ValueError: there is none, or more than one.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the text must hold {BEGIN} and {END} once")
    return BEGIN + text.partition(BEGIN)[2].partition(END)[0] + END
