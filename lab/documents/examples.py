"""`python -m documents.examples`: tries every command that the documents name.

Each command of a fenced block of `sh`, and each block of Python, runs as it stands in the page, one
after the other, on the local stack and in a folder with files to send. Names in capitals stand for
what that stack has. Variables are set that must change nothing (a dead proxy, LC_ALL, PYTHONPATH).

Commands that SKIPPED names, and those in the text, are checked for their syntax alone: programs,
targets, operations and options exist. Exit code 1 if one fails.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from documents import shell, syntax
from documents.commands import Command, examples, inline
from local.run import deployed

MINUTES = "takes minutes; tests/lab has a small run of it"
SKIPPED = {
    "sam ": "needs an AWS account; the local stack is built and deployed with sam, too",
    "start-message-move-task": "the emulator does not know the action",
    "bash .ci/run": "runs every test, and with them these examples",
    "make local": "its set-up is the one that the examples run on",
    "make outage": MINUTES,
    "make trouble": MINUTES,
    "make chaos": MINUTES,
    "make budget": MINUTES,
    "make prove": "takes minutes; make test tries the same properties with fewer examples",
}
"""Words of commands that do not run here, and why."""
ALONE = ("make run", "make compare", ".venv/bin/pytest")
"""Commands that have nothing to do with the stack, and run beside the others."""
Try = Callable[[str], tuple[int, str]]


def reason(command: str) -> str:
    """Why a command does not run here; empty when it does."""
    return next((why for words, why in SKIPPED.items() if words in command), "")


def check(command: str) -> tuple[int, str]:
    """Whether the syntax of a command is right, as an exit code, and what is wrong with it."""
    fault = syntax.fault(command)
    return int(bool(fault)), fault


def attempt(verb: str, commands: Iterable[Command], trial: Try) -> int:
    """Try commands one after the other, and print what came of each; how many failed."""
    failed = 0
    for command in commands:
        started = time.monotonic()
        code, output = trial(command.text)
        first = command.text.partition("\n")[0]
        seconds = f"{time.monotonic() - started:5.1f} s"
        print(f"{'FAILED' if code else verb:<8}{seconds}  {command.place}  {first}", flush=True)
        if code:
            failed += 1
            print(output, file=sys.stderr, flush=True)
    return failed


def main() -> int:
    """The command; returns its exit code."""
    # What is started in the background ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = examples()
    skipped = [one for one in found if reason(one.text)]
    alone = [one for one in found if one.text.startswith(ALONE)]
    others = [one for one in found if one not in {*skipped, *alone}]
    with TemporaryDirectory() as name, deployed(partial(print, file=sys.stderr)) as local:
        shell.prepare(local, Path(name))
        run = partial(shell.run, local=local, folder=Path(name))
        with ThreadPoolExecutor() as pool:
            lanes = [
                pool.submit(attempt, "ran", others, run),
                pool.submit(attempt, "ran", alone, run),
                pool.submit(attempt, "checked", [*skipped, *inline()], check),
            ]
    failed = sum(lane.result() for lane in lanes)
    print(
        f"\n{len(others) + len(alone)} commands were run. The syntax alone was checked of "
        f"{len(inline())} commands in the text, and of {len(skipped)} that cannot run here:"
    )
    for words, why in SKIPPED.items():
        print(f"  {words:<26}{why}")
    print(f"{failed} failed." if failed else "All are right.")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
