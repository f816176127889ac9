"""Compares this application with every way a user would do this instead, side by side in one run.

    python -m benchmarks [--output FOLDER] [--smoke]

Prints the tables and writes docs/benchmarks.md, its plots and the summary in README.md; with
--output the document and the plots go there and README.md stays as it is. --smoke measures a little
of each, to see that it still runs. Linux on x86_64 or arm64.
"""

import argparse
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
from benchmarks.results import Results
from local.emulator import ROOT
from reliability.processes import exit_on_sigterm
from reliability.runtime import emulator


def measure(plan: Plan) -> Results:
    """Make every comparison, one after the other."""
    begin, properties = time.monotonic(), machine.describe()
    say("users a second")
    users = max(messages * users for users, messages in plan.cost_messages)
    with (
        servers(max(users, 100 * plan.packed_messages, plan.messages)) as limited,
        fleet(throughput.environments(plan), limited.variables) as workers,
    ):
        rates = throughput.measure(plan, limited, workers)
        say("cost")
        dollars = cost.measure(plan, limited, workers)
    with servers(most_users(plan), calls_per_second=0) as unlimited:
        say("processor time")
        processor = processor_cost.measure(plan, unlimited)
        profile = profiling.measure(plan, unlimited)
        say("cold path")
        cold = cold_path.measure(plan, unlimited)
        say("memory")
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


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def write(results: Results, output: Path | None) -> str:
    """Write the document and the plots, and README.md's summary unless `output` is given."""
    folder = output or ROOT / "docs"
    plots.write(results, folder / "benchmarks")
    text = document.render(results, "benchmarks")
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    if output is None:
        readme = ROOT / "README.md"
        old = readme.read_text(encoding="utf-8")
        readme.write_text(old.replace(document.block(old), document.block(text)), encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--output", type=Path, help="folder for the document and the plots")
    parser.add_argument("--smoke", action="store_true", help="a little of each; needs --output")
    options = parser.parse_args(arguments)
    if options.smoke and not options.output:
        parser.error("--smoke needs --output: its figures are none")
    if not emulator():
        parser.error("the SAM CLI brings no Runtime Interface Emulator for this machine")
    exit_on_sigterm()
    print(write(measure(SMOKE if options.smoke else FULL), options.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
