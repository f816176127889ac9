"""From the start of a process to the first reply, of functions packaged alike.

The runtime's own packages are compiled beforehand, as if AWS had done so; what the package and its
layer hold is taken as it was built.
"""

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.events import event
from benchmarks.fleet import Servers
from benchmarks.packages import (
    APPLICATION,
    LEAST,
    PEER,
    Package,
    compile_runtime,
    packages,
    runtime_packages,
)
from benchmarks.plan import Plan
from benchmarks.progress import report
from reliability.runtime import PYTHON, handler, running

COMPARED = (APPLICATION, PEER, LEAST)
SECONDS = 60
PROGRAM = Path(__file__).parent / "plain_runtime.py"
OWN = (
    "remove_tags_worker",
    "batch_processor",
    "least",
    "timpush",
    "aws_lambda_powertools",
    "urllib3",
    "boto3",
    "botocore",
    "s3transfer",
)
OTHERS = ("jmespath", "dateutil", "six", "typing_extensions")
STANDARD = "standard library"
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([^.\s]+)")


@dataclass(frozen=True)
class Phases:
    """Seconds until the interpreter ran, until all was imported, until the first reply."""

    interpreter: float
    imports: float
    batch: float


@dataclass(frozen=True)
class ColdPath:
    """Medians by package, in seconds; `imports` has the packages' own import time each."""

    emulator: dict[str, float]
    plain: dict[str, float]
    phases: dict[str, Phases]
    imports: dict[str, dict[str, float]]


def measure(plan: Plan, servers: Servers) -> ColdPath:
    """Start each of them in turn, repeatedly, under the emulator and as a plain process."""
    compile_runtime()
    emulator: dict[str, list[float]] = {}
    plain: dict[str, list[Phases]] = {}
    with TemporaryDirectory(prefix="benchmarks-") as folder, packages() as packaged:
        file = Path(folder) / "event.json"
        file.write_text(event(1, 1), encoding="utf-8")
        for name in COMPARED:
            start_plain(packaged[name], file, servers.variables)  # into the system's cache
        for repetition in range(plan.cold_starts):
            report(f"round {repetition + 1} of {plan.cold_starts}")
            for name in COMPARED:
                seconds = start_emulated(packaged[name], servers.variables, Path(folder) / "log")
                emulator.setdefault(name, []).append(seconds)
                phases = start_plain(packaged[name], file, servers.variables)
                plain.setdefault(name, []).append(phases)
        imports = {name: import_times(packaged[name], file, servers.variables) for name in COMPARED}
    return ColdPath(
        {name: median(mine) for name, mine in emulator.items()},
        {name: median(p.interpreter + p.imports + p.batch for p in plain[name]) for name in plain},
        {name: median_phases(mine) for name, mine in plain.items()},
        imports,
    )


def start_emulated(package: Package, variables: Mapping[str, str], log: Path) -> float:
    """Seconds from the first invocation, at which the emulator starts the runtime, to its reply.

    Raises:
        RuntimeError: the batch failed.
    """
    folder = str(package.folder)
    with running(folder, variables, SECONDS, log, package.layers) as runtime:
        begin = time.monotonic()
        reply = runtime.invoke(json.loads(event(1, 1)))
        seconds = time.monotonic() - begin
    if reply != {"batchItemFailures": []}:
        raise RuntimeError(f"{package.name}: {reply}\n{log.read_text()[-2000:]}")
    return seconds


def start_plain(package: Package, file: Path, variables: Mapping[str, str]) -> Phases:
    """Start a function as a process of its own."""
    begin = time.monotonic()
    done = run_plain(package, file, variables)
    started, imported, replied = json.loads(done.stdout.splitlines()[-1])["moments"]
    return Phases(started - begin, imported - started, replied - imported)


def run_plain(
    package: Package, file: Path, variables: Mapping[str, str], *options: str
) -> "subprocess.CompletedProcess[str]":
    """Start the interpreter with these options; its first batch must have succeeded.

    Raises:
        RuntimeError: it did not.
    """
    paths = [package.folder, *package.layers, runtime_packages()]
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-B", *options, PROGRAM, file, handler(package.folder), *paths],
        env=dict(variables),
        cwd=package.folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode or json.loads(done.stdout.splitlines()[-1])["failed"]:
        raise RuntimeError(f"{package.name}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done


def median_phases(phases: list[Phases]) -> Phases:
    """The median of each phase; they need not add up to the median of the whole."""
    return Phases(
        median(one.interpreter for one in phases),
        median(one.imports for one in phases),
        median(one.batch for one in phases),
    )


def import_times(package: Package, file: Path, variables: Mapping[str, str]) -> dict[str, float]:
    """Seconds of import by package, from the interpreter's own account, which slows it down."""
    return by_package(run_plain(package, file, variables, "-X", "importtime").stderr)


def by_package(account: str) -> dict[str, float]:
    """Sum up what `-X importtime` printed: seconds of the modules' own, by package."""
    microseconds: Counter[str] = Counter()
    for line in account.splitlines():
        if match := IMPORT.match(line):
            package = match[2] if match[2] in OWN + OTHERS else STANDARD
            microseconds[package] += int(match[1])
    return {name: number / 1e6 for name, number in microseconds.most_common()}
