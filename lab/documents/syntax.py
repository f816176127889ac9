"""Checks commands without running them: programs, targets, operations and options exist.

bash itself takes a command apart: functions in the place of the programs note the words that they
are called with, and no other program is found.
"""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from documents.regions import ROOT
from timpush_ops.cli import cli

END = "\x1e"
NOTING = f"""
cd "${{NOTES%/*}}"
PATH=/nonexistent
note() {{ printf '%s\\0' "$@" $'{END}' >> "$NOTES"; }}
jq() {{ :; }}
for program in ./ops aws bash git make sam; do
  eval "$program() {{ note $program \\"\\$@\\"; }}"
done
"""
UNKNOWN = "--no-such-option"
SECONDS = 60
MISSING = "the following arguments are required"


def fault(command: str) -> str:
    """What is wrong with a command; empty when nothing is."""
    with TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        notes.touch()
        done = run("bash", "-euo", "pipefail", "-c", NOTING + command, NOTES=str(notes))
        if done.returncode:
            return done.stderr.strip()
        called = notes.read_text(encoding="utf-8").split(f"{END}\0")[:-1]
    faults = (check(tuple(words.split("\0")[:-1])) for words in called)
    return next(filter(None, faults), "" if called else "no program is called")


@cache
def check(words: tuple[str, ...]) -> str:
    """What is wrong with one call of a program."""
    return CHECKS[words[0]](words[1:])


def check_make(words: Sequence[str]) -> str:
    """Each target exists, and so does each option of its ARGS."""
    known = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    targets = [word for word in words if "=" not in word]
    if unknown := set(targets) - set(known):
        return f"no target {', '.join(sorted(unknown))}"
    arguments = " ".join(word.partition("=")[2] for word in words if word.startswith("ARGS="))
    options = re.findall(r"--[a-z-]+", arguments)
    text = options and make_help(targets[-1], arguments.split()[0])
    return "".join(f"make {targets[-1]}: no option {one}" for one in options if one not in text)


@cache
def make_help(target: str, first: str) -> str:
    """What a target prints of its arguments; `first` may be a command of its own."""
    arguments = "--help" if first.startswith("-") else f"{first} --help"
    return run("make", "--silent", target, f"ARGS={arguments}").stdout


def check_ops(words: Sequence[str]) -> str:
    """The command knows its options; one that it cannot know comes last, so that it never runs."""
    try:
        asked = [word for word in words if word != "--help"]
        cli.main([*asked, UNKNOWN], prog_name="ops", standalone_mode=False)
    except click.NoSuchOption as error:
        return "" if error.option_name == UNKNOWN else error.message
    except click.ClickException as error:
        return error.message
    return "it ran"


def check_sam(words: Sequence[str]) -> str:
    """The command knows its options; --help ends it before it runs."""
    done = run(".tools/sam/bin/sam", *words, "--help", SAM_CLI_TELEMETRY="0")
    return done.stderr.strip() if done.returncode else ""


def check_aws(words: Sequence[str]) -> str:
    """Service, operation and options are known; a skeleton is printed in place of a call."""
    nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_DEFAULT_REGION": "us-east-1"}
    done = run(".tools/awscli/bin/aws", *words, "--generate-cli-skeleton", **nobody)
    return done.stderr.strip() if done.returncode and MISSING not in done.stderr else ""


def check_git(words: Sequence[str]) -> str:
    """git has the command: then it ends with 129 after its help."""
    return "" if run("git", words[0], "-h").returncode == 129 else f"git: no command {words[0]}"


def check_bash(words: Sequence[str]) -> str:
    """The script exists, and bash can read it."""
    return run("bash", "-n", words[0]).stderr.strip()


CHECKS: dict[str, Callable[[Sequence[str]], str]] = {
    "./ops": check_ops,
    "aws": check_aws,
    "bash": check_bash,
    "git": check_git,
    "make": check_make,
    "sam": check_sam,
}


def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in the repository, not as a part of the make that runs this."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=mine | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
