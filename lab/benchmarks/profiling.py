"""Where the processor time of the largest batch goes, sampled by py-spy."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fleet import HANDLERS, OURS, Servers
from benchmarks.plan import Plan
from local.emulator import ROOT

RATE = 1_000
TOP = 12
SECONDS = 120
MEASURED = ("invoke (benchmarks/worker.py", "_worker (concurrent/futures/thread.py")
"""A sample counts when one of these is on its stack,"""
ONCE = ("make_worker (", "read_secret (", "_find_and_load (")
"""and none of these: what an environment does once, on its first batch."""
FRAME = re.compile(r"^(.*) \((.*?)(?::\d+)?\)$")


@dataclass(frozen=True)
class Profile:
    """Functions, and steps of an invocation, with their part (0 to 1) of all samples.

    The most first; a function in C counts for the Python function that calls it. `error` says why
    there is none.
    """

    samples: int
    own: list[tuple[str, str, float]]
    parts: list[tuple[str, float]]
    error: str = ""


def measure(plan: Plan, servers: Servers) -> Profile:
    """Sample one environment that works on the largest batch several times."""
    order = {"messages": plan.large, "users": 1, "most": plan.profiled_batches}
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        stacks = Path(folder) / "stacks"
        paths = ":".join(path for path in sys.path if path)
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "py-spy", "record", "--gil", "--nonblocking"),
                *("--rate", str(RATE), "--format", "raw", "--output", stacks, "--"),
                *(sys.executable, "-m", "benchmarks.worker", "--handler", HANDLERS[OURS]),
                *("--log", Path(folder) / "log"),
            ],
            input=json.dumps(order) + "\n",
            env=servers.variables | {"WORKER_CONCURRENCY": "1", "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode or not stacks.exists():
            return Profile(0, [], [], (done.stderr or done.stdout).strip()[-300:])
        return summarize(stacks.read_text(encoding="utf-8"))


def summarize(stacks: str) -> Profile:
    """Sum up py-spy's raw format: a stack, its frames separated by semicolons, and its samples."""
    own: Counter[tuple[str, str]] = Counter()
    parts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        once = any(frame in stack for frame in ONCE)
        if not once and any(frame in stack for frame in MEASURED):
            frames = [name_frame(frame) for frame in stack.split(";")]
            own[frames[-1]] += int(number)
            parts[step([function for function, _ in frames])] += int(number)
    total = own.total()
    return Profile(
        total,
        [(*frame, n / total) for frame, n in own.most_common(TOP)],
        [(name, n / total) for name, n in parts.most_common(TOP)],
    )


def step(functions: list[str]) -> str:
    """The step of the invocation: what `handle` calls, a call's thread, or the runtime's part."""
    if "_worker" in functions:
        return "threads that call"
    if "handle" in functions[:-1]:
        return functions[functions.index("handle") + 1]
    return "the event's JSON and the rest"


def name_frame(frame: str) -> tuple[str, str]:
    """The function and the file, as short as they are known by."""
    match = FRAME.match(frame)
    function, file = match.groups() if match else (frame, "")
    for prefix in (f"{ROOT}/", "layers/timpush/", "functions/"):
        file = file.removeprefix(prefix)
    return function, file
