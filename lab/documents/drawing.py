"""The picture of how users reach TIMPush: an SVG for light and one for dark pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 960, 400
FONT = "-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page; `label` within boxes, `faint` beside arrows; `fills` by kind."""

    name: str
    text: str
    label: str
    faint: str
    line: str
    fills: dict[str, str]


class Box(NamedTuple):
    """A box with a bold first line; x and y of its upper left corner."""

    x: int
    y: int
    width: int
    kind: str
    lines: Sequence[str]


class Arrow(NamedTuple):
    """A line through points, and a text with the place of its middle."""

    points: Sequence[tuple[int, int]]
    text: str = ""
    at: tuple[int, int] = (0, 0)


THEMES = (
    Theme(
        "light",
        "#1f2328",
        "#4b535c",
        "#59636e",
        "#59636e",
        {"yours": "#ddf4ff", "ours": "#f6f8fa", "tencent": "#fff8c5", "failed": "#ffebe9"},
    ),
    Theme(
        "dark",
        "#f0f6fc",
        "#d1d7e0",
        "#9198a1",
        "#9198a1",
        {"yours": "#0c2d6b", "ours": "#21262d", "tencent": "#4b2900", "failed": "#67060c"},
    ),
)
BOX_HEIGHT = 64
BOXES = (
    Box(16, 20, 160, "yours", ("A file", "CSV or JSON lines")),
    Box(16, 150, 160, "yours", ("A message", "any number of users")),
    Box(16, 280, 160, "yours", ("A signed request", "for a waiting caller")),
    Box(236, 20, 170, "ours", ("Bucket and job", "checks every row first")),
    Box(236, 280, 170, "ours", ("HTTPS endpoint", "makes one call")),
    Box(446, 150, 130, "ours", ("Queue", "SQS")),
    Box(646, 150, 140, "ours", ("Worker", "100 users a call")),
    Box(850, 150, 94, "tencent", ("TIMPush", "Tencent")),
    Box(626, 20, 180, "ours", ("Report of the job", "every user, and an event")),
    Box(616, 316, 200, "failed", ("Dead-letter queue", "failed for good, and why")),
)
ARROWS = (
    Arrow([(176, 52), (236, 52)]),
    Arrow([(406, 52), (511, 52), (511, 150)], "messages", (550, 112)),
    Arrow([(176, 182), (446, 182)]),
    Arrow([(176, 312), (236, 312)]),
    Arrow([(406, 298), (504, 298), (504, 214)], "what is left", (452, 290)),
    Arrow([(321, 344), (321, 388), (897, 388), (897, 214)], "one call", (470, 382)),
    Arrow([(576, 182), (646, 182)]),
    Arrow([(690, 214), (690, 250), (544, 250), (544, 214)], "to be retried", (618, 244)),
    Arrow([(786, 182), (850, 182)], "100/s", (816, 174)),
    Arrow([(740, 214), (740, 316)]),
    Arrow([(716, 150), (716, 84)]),
)


def drawings() -> dict[str, str]:
    """File name -> SVG."""
    return {f"overview-{theme.name}.svg": draw(theme) for theme in THEMES}


def draw(theme: Theme) -> str:
    """The picture in the colours of a theme."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        f'font-family="{FONT}" font-size="13" text-anchor="middle">',
        "<title>Files, messages and requests on their way to TIMPush</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"',
        f'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="{theme.line}"/>',
        "</marker></defs>",
        *(part for arrow in ARROWS for part in draw_arrow(arrow, theme)),
        *(part for box in BOXES for part in draw_box(box, theme)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def draw_box(box: Box, theme: Theme) -> Iterator[str]:
    """A box with its lines of text."""
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{BOX_HEIGHT}" rx="8" '
        f'fill="{theme.fills[box.kind]}" stroke="{theme.line}"/>'
    )
    middle = box.x + box.width // 2
    first, second = box.lines
    yield text(middle, box.y + 28, first, theme.text, ' font-weight="600" font-size="14"')
    yield text(middle, box.y + 47, second, theme.label)


def draw_arrow(arrow: Arrow, theme: Theme) -> Iterator[str]:
    """A line with a tip, and its text."""
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    yield (
        f'<polyline points="{points}" fill="none" stroke="{theme.line}" stroke-width="1.5" '
        'marker-end="url(#tip)"/>'
    )
    if arrow.text:
        yield text(*arrow.at, arrow.text, theme.faint)


def text(x: int, y: int, words: str, colour: str, more: str = "") -> str:
    """A line of text around its middle."""
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(words)}</text>'
