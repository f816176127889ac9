"""Programs of the tests as processes of their own: started, awaited, and ended by their pid."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import urllib3

from support.modules import import_paths

START_SECONDS = 60.0
STOP_SECONDS = 5.0


def start(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start `python -m module`, with this process's import paths and pipes to talk through.

    It leads a session of its own, so that Ctrl-C reaches only who started it and ends it.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**(os.environ if environment is None else environment), **import_paths()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process, gently at first, and free what is held for it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """Run a server that prints "listening on URL" first; yields the URL.

    Raises:
        RuntimeError: it did not start.
    """
    process = start(module, *arguments)
    try:
        yield read_line(process).removeprefix("listening on ")
    finally:
        end(process)


def read_line(process: "subprocess.Popen[str]", seconds: float = START_SECONDS) -> str:
    """The next line that a process prints, when it has read none before that waits in a buffer.

    Raises:
        RuntimeError: it ended, or printed nothing in time.
    """
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(seconds) else ""
    if not line:
        raise RuntimeError(f"no word from process {process.pid} within {seconds:.0f} s")
    return line.strip()


def report_to_parent(log: Path) -> TextIO:
    """Called in a process that `start` started: a way to print lines to who started it.

    What else the process prints goes to `log` from now on.
    """
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    return channel


def exit_on_sigterm() -> None:
    """Let SIGTERM end this program as Ctrl-C does: what it started is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def control(url: str, method: str, resource: str, body: Any = None) -> Any:
    """One request to the control plane of the stand-in TIMPush at `url`.

    Raises:
        RuntimeError: it was refused.
    """
    json = {} if body is None else {"json": body}
    reply = urllib3.request(method, f"{url}/_control/{resource}", timeout=30, retries=False, **json)
    if reply.status != 200:
        raise RuntimeError(f"{resource}: {reply.data[:300]!r}")
    return reply.json()


def wait_until(moment: float) -> None:
    """Wait until a moment of the monotonic clock, which all processes share."""
    time.sleep(max(0.0, moment - time.monotonic()))
