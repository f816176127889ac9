"""The examples of the documents: each is found, and each runs or is right as far as can be told."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from documents import syntax
from documents.commands import FENCE, Command, blocks, examples, inline, pages, split
from documents.examples import SKIPPED, attempt, reason
from documents.shell import finish, substitute, visit
from local.summary import NEXT
from support.modules import run_module
from timpush_ops.cli import cli

LANGUAGES = {"sh", "python", "json", "yaml", "csv", "mermaid", "text"}
"""Commands stand in blocks of sh and python alone."""
COMMAND = re.compile(r"^(?:\$ |(?:\./ops|aws|bash|curl|git|make|pip|python|sam) )", re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_block_is_fenced_and_says_its_language(page: Path) -> None:
    found = list(blocks(page))
    assert {language for _, language, _ in found} <= LANGUAGES
    assert [
        text for _, language, text in found if language == "text" and COMMAND.search(text)
    ] == []
    rest = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"^(?: {4,}|\t).*|^ *(?:```|~~~).*", rest, re.MULTILINE) == []


def test_each_reason_not_to_run_is_needed() -> None:
    found = [one.text for one in examples()]
    assert sum(not reason(text) for text in found) > 40
    assert [words for words in SKIPPED if not any(words in text for text in found)] == []


def test_what_cannot_run_and_what_stands_in_the_text_is_right() -> None:
    skipped = [one for one in examples() if reason(one.text)]
    assert len(inline()) > 100
    faults = {one.place: syntax.fault(one.text) for one in (*skipped, *inline())}
    assert {place: fault for place, fault in faults.items() if fault} == {}


def help_examples(command: click.Command) -> Iterator[str]:
    """The commands that a help screen and those below it show."""
    shown = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
    yield from (line.strip() for line in shown.splitlines())
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from help_examples(one)


def test_what_help_screens_and_the_local_run_advise_is_right() -> None:
    found = [*help_examples(cli), *(command for command, _ in NEXT)]
    assert len(found) > 20
    assert [text for text in found if syntax.fault(text)] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make docs-test nothing", "no target nothing"),
        ('make budget ARGS="--cpu 0.29 --gpu 1"', "no option --gpu"),
        ("make usersig ARGS='sign --month 3'", "no option --month"),
        ("./ops doctor --stack NAME", "--stack"),
        ("./ops cure --stack-name NAME", "cure"),
        ("aws sqs send-massage --queue-url URL", "send-massage"),
        ("aws sqs send-message --queue URL --group 1", "Unknown options"),
        ("make test && sam deploy --guide-me", "--guide-me"),
        ("git chekout VERSION", "chekout"),
        ("bash .ci/walk", ".ci/walk"),
        ("./op doctor", "./op"),
        ("make 'run", "matching"),
        ("true", "no program"),
    ],
)
def test_a_command_that_is_wrong_is_found_without_running_it(command: str, fault: str) -> None:
    assert fault in syntax.fault(command)


def test_a_block_is_taken_apart_into_its_commands() -> None:
    first = "aws a \\\n  --b <<'JSON'\n{\"c\": 1}\n\nJSON\n"
    text = f"{first}make d |\n  aws e\n\n# a note\nmake 'f\n g'  # h\n"
    assert list(split(text)) == [
        (0, first.rstrip()),
        (5, "make d |\n  aws e"),
        (9, "make 'f\n g'  # h"),
    ]
    with pytest.raises(ValueError, match="without an end"):
        list(split("make a\naws b \\\n"))


def test_names_in_capitals_are_replaced_as_whole_words() -> None:
    names = {"URL": "http://queue", "API_URL": "http://api"}
    assert substitute("URL API_URL $URL MY_URL URLS", names) == (
        "http://queue http://api $URL MY_URL URLS"
    )


def test_a_command_that_fails_is_counted_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [Command(pages()[0], line, f"exit {line}") for line in (0, 1)]
    assert attempt("ran", commands, lambda text: (int(text[-1]), "what it printed")) == 1
    shown = capsys.readouterr()
    assert re.findall(r"^(\w+) .+:(\d)  ", shown.out, re.MULTILINE) == [
        ("ran", "0"),
        ("FAILED", "1"),
    ]
    assert shown.err == "what it printed\n"


def started(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_page_is_read_and_ended_as_by_ctrl_c() -> None:
    server = ("-u", "-m", "http.server", "--bind", "127.0.0.1", "0")
    with started(sys.executable, *server) as process:
        assert "GET / HTTP" in visit(process, "")
        assert process.returncode == 0
    with started("echo", "no page today") as process:
        assert visit(process, "") == "no page today\n"
        assert process.returncode == 1


def test_a_command_without_an_end_fails() -> None:
    with started("sh", "-c", "echo begun; sleep 60") as process:
        assert finish(process, "", seconds=1).split() == [
            "begun",
            "it",
            "did",
            "not",
            "end",
            "within",
            "1",
            "s",
        ]
        assert process.returncode


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_examples_run() -> None:
    done = run_module("documents.examples", seconds=590)
    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]
