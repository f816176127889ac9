"""`python -m documents.picture`: runs the local run in a terminal, and draws its end as an SVG."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from html import escape

from documents.regions import ROOT

FIRST = "What was proven"
LINE, CHARACTER, EDGE = 20, 8.4, 20
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
BACKGROUND, FOREGROUND = "#0d1117", "#e6edf3"
STYLES = {
    "1": 'font-weight="bold"',
    "2": 'fill="#9198a1"',
    "31": 'fill="#ff7b72"',
    "32": 'fill="#3fb950"',
}
CODE = re.compile(r"\x1b\[(\d*)[mK]")


def main() -> int:
    """The command; returns the exit code of the run."""
    code, output = record([sys.executable, "-m", "local.run"])
    end = output[output.index(FIRST) :] if FIRST in output else output
    lines = ["\x1b[2m$\x1b[0m \x1b[1mmake run\x1b[0m", "\x1b[2m...\x1b[0m", *end.splitlines()]
    lines[2] = f"\x1b[1m{lines[2]}"
    if not code:
        (ROOT / "docs/images/run.svg").write_text(draw(lines), encoding="utf-8")
    return code


def record(command: list[str]) -> tuple[int, str]:
    """The exit code of a command and what it prints on a terminal, which is copied to stderr."""
    outer, inner = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(command, stdout=inner, env=environment)
    os.close(inner)
    output = b""
    while part := read(outer):
        output += part
        sys.stderr.write(part.decode(errors="replace"))
    os.close(outer)
    return process.wait(), output.decode().replace("\r\n", "\n").replace("\r", "")


def read(descriptor: int) -> bytes:
    """The next bytes of a terminal; none at its end, where Linux raises an error."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


def draw(lines: list[str]) -> str:
    """Lines with colours of ANSI terminals as an SVG."""
    width = round(max(len(CODE.sub("", line)) for line in lines) * CHARACTER + 2 * EDGE)
    height = len(lines) * LINE + 2 * EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f'font-family="{FONT}" font-size="14" fill="{FOREGROUND}">',
        "<title>The end of make run</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
    ]
    for number, line in enumerate(lines):
        spans = "".join(spans_of(line))
        parts.append(
            f'<text x="{EDGE}" y="{EDGE + LINE * number + 15}" xml:space="preserve">{spans}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def spans_of(line: str) -> Iterator[str]:
    """The parts of a line, each in its style."""
    style = ""
    for number, part in enumerate(CODE.split(line)):
        if number % 2:
            style = STYLES.get(part, "")
        elif part:
            yield f"<tspan {style}>{escape(part)}</tspan>" if style else escape(part)


if __name__ == "__main__":
    sys.exit(main())
