"""What the local run prints: coloured on a terminal, plain in a pipe or with NO_COLOR set."""

import os
import sys

CLEAR = "\r\x1b[K"
BOLD, GREEN, RED, FAINT = "1", "32", "31", "2"
BAR_WIDTH = 24


def coloured(text: str, code: str) -> str:
    """The text in a colour or weight of ANSI terminals, or as it is (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def line(text: str = "") -> None:
    """Print a line that stays."""
    print(f"{CLEAR if is_terminal() else ''}{text}", flush=True)


def status(text: str) -> None:
    """Show a line that the next one replaces; in a pipe it is left out."""
    if is_terminal():
        print(f"{CLEAR}{text}", end="", flush=True)


def bar(done: int, wanted: int) -> str:
    """How much of the work is done, drawn."""
    filled = BAR_WIDTH * done // wanted if wanted else BAR_WIDTH
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"


def aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lines of a name, a figure to the right of it and a remark."""
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        f"  {name:<{widths[0]}}  {figure:>{widths[1]}}  {remark}".rstrip()
        for name, figure, remark in rows
    ]
