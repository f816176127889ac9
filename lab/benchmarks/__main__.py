"""Compares this application with every way a user would do this instead, side by side in one run.

    python -m benchmarks [--write | --output FOLDER] [--smoke]

Prints the tables; progress goes to stderr. --write also writes docs/benchmarks.md, its plots and
the summary in README.md; --output writes the document and the plots into a folder of your own.
--smoke measures a little of each, to see that it still runs. Linux on x86_64 or arm64.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    artefact,
    cold_path,
    cost,
    document,
    machine,
    memory,
    plots,
    processor_cost,
    profiling,
    throughput,
)
from benchmarks.events import most_messages
from benchmarks.fleet import fleet, servers
from benchmarks.plan import FULL, SMOKE, Plan
from benchmarks.progress import say
from benchmarks.results import Results
from local.emulator import ROOT
from reliability.processes import exit_on_sigterm
from reliability.runtime import emulator


def measure(plan: Plan) -> Results:
    """Make every comparison, one after the other."""
    begin, properties = time.monotonic(), machine.describe()
    say("1 of 5: users a second")
    users = max(messages * users for users, messages in plan.cost_messages)
    with (
        servers(max(users, 100 * plan.packed_messages, plan.messages)) as limited,
        fleet(throughput.environments(plan), limited.variables) as workers,
    ):
        rates = throughput.measure(plan, limited, workers)
        say("2 of 5: cost")
        dollars = cost.measure(plan, limited, workers)
    with servers(most_users(plan), calls_per_second=0) as unlimited:
        say("3 of 5: processor time")
        processor = processor_cost.measure(plan, unlimited)
        profile = profiling.measure(plan, unlimited)
        say("4 of 5: cold path")
        cold = cold_path.measure(plan, unlimited)
        say("5 of 5: memory")
        peaks = memory.measure(plan, unlimited)
    return Results(
        plan,
        datetime.now(UTC).date().isoformat(),
        properties,
        rates,
        processor,
        profile,
        cold,
        peaks,
        dollars,
        artefact.measure(),
        time.monotonic() - begin,
    )


def most_users(plan: Plan) -> int:
    """How many users the largest event holds."""
    packed = [100 * (size or most_messages(100)) for size in plan.packed_sizes]
    largest = [users * (size or most_messages(users)) for size, users in plan.memory_sizes]
    return max(*packed, *largest, *plan.sizes)


def warn_of_load() -> None:
    """Say so when other programs keep the machine busy: the figures would be theirs too."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > cores / 4:
        say(f"the machine is busy (load {load:.1f} on {cores} cores): do not trust the figures")


def write(results: Results, text: str, folder: Path) -> None:
    """Write the document and the plots."""
    plots.write(results, folder / "benchmarks")
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")


def write_summary(text: str) -> None:
    """Write the summary in README.md."""
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    readme.write_text(old.replace(document.block(old), document.block(text)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--write", action="store_true", help="update docs/ and README.md")
    target.add_argument("--output", type=Path, help="folder for the document and the plots")
    parser.add_argument("--smoke", action="store_true", help="a little of each")
    options = parser.parse_args(arguments)
    if options.smoke and options.write:
        parser.error("--smoke measures too little to be written")
    if not emulator():
        parser.error("the SAM CLI brings no Runtime Interface Emulator for this machine")
    exit_on_sigterm()
    warn_of_load()
    results = measure(SMOKE if options.smoke else FULL)
    text = document.render(results, "benchmarks")
    if options.write or options.output:
        write(results, text, options.output or ROOT / "docs")
    if options.write:
        write_summary(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
