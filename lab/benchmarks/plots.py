"""The plots, each as an SVG for light and for dark pages; the same figures give the same file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.fleet import BATCH_PROCESSOR, NAMES, OURS, PACKED, PARSING, RATE_LIMIT, THREADS
from benchmarks.processor_cost import WAYS
from benchmarks.results import Results
from benchmarks.throughput import CASES, LIMIT_USERS

BACKLOGS = (10_000, 100_000, 1_000_000, 10_000_000)
TIMES = {1: "1 s", 60: "1 min", 3_600: "1 h", 86_400: "1 day", 604_800: "1 week"}
MARKERS = {
    OURS: "o",
    BATCH_PROCESSOR: "s",
    THREADS: "^",
    RATE_LIMIT: "D",
    PARSING: "v",
    PACKED: "P",
}


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page; `lines` by way."""

    name: str
    text: str
    grid: str
    lines: dict[str, str]


THEMES = (
    Theme(
        "light",
        "#1f2328",
        "#d1d9e0",
        {
            OURS: "#0969da",
            BATCH_PROCESSOR: "#bc4c00",
            THREADS: "#8250df",
            RATE_LIMIT: "#1a7f37",
            PARSING: "#59636e",
            PACKED: "#9a6700",
        },
    ),
    Theme(
        "dark",
        "#f0f6fc",
        "#3d444d",
        {
            OURS: "#4493f8",
            BATCH_PROCESSOR: "#f0883e",
            THREADS: "#ab7df8",
            RATE_LIMIT: "#3fb950",
            PARSING: "#9198a1",
            PACKED: "#d29922",
        },
    ),
)


def write(results: Results, folder: Path) -> None:
    """Write all plots into a folder, each as NAME-light.svg and NAME-dark.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        for theme in THEMES:
            save(draw, results, theme, folder / f"{name}-{theme.name}.svg")


def save(
    draw: Callable[[Any, Results, Theme], None], results: Results, theme: Theme, file: Path
) -> None:
    """Draw one plot on a transparent ground."""
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = {"svg.hashsalt": "benchmarks", "font.size": 10}
    with mpl.rc_context(settings | dict.fromkeys(names, theme.text)):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, results, theme)
        axes.grid(visible=True, color=theme.grid, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, transparent=True, metadata=metadata)


def line(
    axes: Any, theme: Theme, way: str, xs: list[float], ys: list[float], users: int = 1
) -> None:
    """One way's line; dashed when its messages hold many users."""
    suffix = "" if users == 1 else f", {users} users a message"
    style = "-" if users == 1 else "--"
    colour = theme.lines[way]
    axes.plot(xs, ys, style, marker=MARKERS[way], color=colour, label=NAMES[way] + suffix)


def users_a_second(axes: Any, results: Results, theme: Theme) -> None:
    """Users a second against latency."""
    latencies = results.plan.latencies
    for way, users in CASES:
        found = results.throughput.rates
        ys = [found[way, users, latency].users_a_second for latency in latencies]
        line(axes, theme, way, [latency * 1000 for latency in latencies], ys, users)
    axes.axhline(LIMIT_USERS, color=theme.text, linewidth=0.8, linestyle=":")
    axes.annotate(
        "the limits of TIMPush",
        (1, LIMIT_USERS),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
    )
    axes.set_yscale("log")
    axes.set_ylim(1, LIMIT_USERS * 3)
    axes.set_xlim(left=0)
    axes.set_xlabel("latency of a call, ms")
    axes.set_ylabel("users a second")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def processor_cost(axes: Any, results: Results, theme: Theme) -> None:
    """Processor time of a record against the size of the batch."""
    cost = results.processor
    sizes = cost.sizes(1)
    for way in WAYS:
        ys = [cost.per_record(way, size) * 1e6 for size in sizes]
        line(axes, theme, way, [float(size) for size in sizes], ys)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("messages in a batch, one user each")
    axes.set_ylabel("processor time, µs a message")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def drain_time(axes: Any, results: Results, theme: Theme) -> None:
    """Time to work off a backlog, from the measured users a second."""
    latency = results.plan.cost_latency
    for way, users in CASES:
        rate = results.throughput.rates[way, users, latency].users_a_second
        line(axes, theme, way, [*BACKLOGS], [backlog / rate for backlog in BACKLOGS], users)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("backlog, users")
    axes.set_ylabel("time to an empty queue")
    axes.set_xticks(BACKLOGS)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_yticks([*TIMES], [*TIMES.values()])
    axes.minorticks_off()


PLOTS = {
    "users-a-second": users_a_second,
    "processor-cost": processor_cost,
    "drain-time": drain_time,
}
