"""The operators' page of the local stack, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.emulator import ROOT, aws_environment
from local.stack import STACK_NAME

STOP_SECONDS = 10.0


@contextmanager
def board(endpoint_url: str) -> Iterator[str]:
    """Serve the page until the block ends; yields its address.

    Raises:
        RuntimeError: it did not start; the text is what it printed.
    """
    process = subprocess.Popen(
        [sys.executable, "-B", ROOT / "tools/timpush_ops", "board", "--stack-name", STACK_NAME],
        env=aws_environment(endpoint_url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    try:
        address = process.stdout.readline().strip()
        if not address.startswith("http://"):
            raise RuntimeError(f"the operators' page did not start: {address}")
        yield address
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        process.stdout.close()
