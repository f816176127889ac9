"""The commands that the documents name, in fenced blocks and in their text."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from documents.regions import ROOT
from timpush_ops.cli import cli

FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PROGRAMS = ("./ops", "aws", "bash", "git", "make", "sam")


class Command(NamedTuple):
    """A command, the page that names it, and the line where it begins."""

    page: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every document of the repository."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """Each fenced block of a page: the line after its fence, its language, its text."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield text.count("\n", 0, found.start()) + 2, found["language"], found["text"]


def examples() -> list[Command]:
    """The commands of all blocks, in the order of pages and lines.

    A block of Python is one command.
    """
    found: list[Command] = []
    for page in pages():
        for line, language, text in blocks(page):
            if language == "python":
                found.append(Command(page, line, f"python - <<'END'\n{text}END"))
            if language == "sh":
                found += [Command(page, line + skip, one) for skip, one in split(text)]
    return found


def split(text: str) -> Iterator[tuple[int, str]]:
    """The commands of a block, each with the number of lines before it."""
    lines = text.splitlines()
    first = 0
    for end in range(1, len(lines) + 1):
        command = "\n".join(lines[first:end])
        if is_complete(command):
            if command.strip() and not command.startswith("#"):
                yield first, command
            first = end
    if first < len(lines):
        raise ValueError(f"a command without an end: {lines[first]}")


def is_complete(command: str) -> bool:
    """Whether bash waits for no further line: of a continued line, a quotation, a here-document."""
    read = subprocess.run(
        ["bash", "-n"], input=command, capture_output=True, text=True, check=False
    )
    return not (read.returncode or read.stderr or command.endswith("\\"))


def inline() -> list[Command]:
    """The commands that stand in the text between back quotes; one of ./ops with or without it."""
    found = []
    for page in pages():
        text = FENCE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text("utf-8"))
        for match in INLINE.finditer(text):
            words = match[1].split()
            line = text.count("\n", 0, match.start()) + 1
            prefix = "./ops " if words and words[0] in cli.commands else ""
            if len(words) > 1 and (prefix or words[0] in PROGRAMS):
                found.append(Command(page, line, prefix + " ".join(words)))
    return found
