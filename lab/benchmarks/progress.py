"""What a run is doing now, on stderr: a line for each part, and on a terminal one that changes."""

import sys
import time

CLEAR = "\r\x1b[K"


def say(what: str) -> None:
    """Print a line that stays."""
    clear = CLEAR if sys.stderr.isatty() else ""
    print(f"{clear}{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def report(what: str) -> None:
    """Show a line until the next one, on a terminal alone."""
    if sys.stderr.isatty():
        print(f"{CLEAR}         {what}", end="", file=sys.stderr, flush=True)
