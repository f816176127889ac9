"""What the commands print: tables or JSON on standard output, progress on standard error."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click
from tqdm import tqdm

output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table to read, or JSON for programs.",
)


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under column names; columns that hold only numbers are aligned to the right."""
    written = list(rows)
    cells = [[_cell(value) for value in row] for row in written]
    widths = [
        max(len(name), *(len(row[index]) for row in cells)) if cells else len(name)
        for index, name in enumerate(columns)
    ]
    right = [
        bool(written) and all(isinstance(row[index], int) for row in written)
        for index in range(len(columns))
    ]
    for line in [list(columns), *cells]:
        texts = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(texts).rstrip())


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def plural(number: int, noun: str) -> str:
    """Such as: 1 message, 5,838 messages."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def counted(counts: Counter[str]) -> str:
    """Such as: 70107: 12, 90034: 1."""
    return ", ".join(f"{name}: {number:,}" for name, number in counts.most_common())


def bar(total: int | None, unit: str, **options: Any) -> Any:
    """A progress bar on standard error; none where that is not a terminal."""
    return tqdm(
        total=total,
        unit=f" {unit}",
        file=sys.stderr,
        disable=None,
        dynamic_ncols=True,
        **options,
    )


def byte_bar(total: int, what: str) -> Any:
    """A progress bar of bytes, in KB, MB and GB."""
    return bar(total, "B", desc=what, unit_scale=True, unit_divisor=1024)


def examples(*lines: str) -> str:
    """The end of a help screen: commands without their ./ops; such lines are left as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  ./ops {line}" for line in lines)


def for_stack(text: str, stack_name: str | None) -> str:
    """A text whose commands end in `--stack-name NAME`, with the name of the stack in them.

    Without a stack, NAME stays for the reader to fill in.
    """
    option = "--stack-name "
    return text.replace(f"{option}NAME", option + shlex.quote(stack_name)) if stack_name else text
