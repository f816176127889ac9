"""The most memory that a fresh process of a function has for the largest events.

Taken from Linux's account of the process that the Runtime Interface Emulator started.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.events import event, most_messages
from benchmarks.fleet import Servers
from benchmarks.packages import APPLICATION, BARE, PEER, Package, packages
from benchmarks.plan import Plan
from reliability.runtime import running

SECONDS = 120


@dataclass(frozen=True)
class Memory:
    """Peak bytes: of the bare runtime, and by (package, users a message, messages, event bytes)."""

    bare: int
    peaks: dict[tuple[str, int, int, int], int]


def measure(plan: Plan, servers: Servers) -> Memory:
    """Let fresh processes work on one event each, once: memory hardly differs from run to run."""
    peaks: dict[tuple[str, int, int, int], int] = {}
    with TemporaryDirectory(prefix="benchmarks-") as folder, packages() as packaged:
        log = Path(folder) / "log"
        bare = peak(packaged[BARE], servers.variables, log, "{}")
        for size, users in plan.memory_sizes:
            messages = size or most_messages(users)
            text = event(messages, users)
            for name in (APPLICATION, PEER):
                one = peak(packaged[name], servers.variables, log, text)
                peaks[name, users, messages, len(text)] = one
    return Memory(bare, peaks)


def peak(package: Package, variables: Mapping[str, str], log: Path, text: str) -> int:
    """The most resident memory, in bytes, of a process that worked on one event.

    Raises:
        RuntimeError: the batch failed.
    """
    alone = dict(variables) | {"WORKER_CONCURRENCY": "1"}
    with running(str(package.folder), alone, SECONDS, log, package.layers) as runtime:
        reply = runtime.invoke(json.loads(text), SECONDS)
        if not isinstance(reply, dict) or reply.get("batchItemFailures"):
            raise RuntimeError(f"{package.name}: {str(reply)[:500]}")
        [pid] = runtime.pids()
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024
