"""The set-up by make: what it prints and where, in a folder whose path has a space."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60
KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
Done = subprocess.CompletedProcess[str]
Variables = dict[str, str]
NONE: Variables = {}


def run(*command: str | Path, folder: Path = ROOT, stdin: str = "", env: Variables = NONE) -> Done:
    return subprocess.run(
        [*command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing is set up, in a path with a space."""
    folder = tmp_path / "my clone"
    for name in (".ci", "layers", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "uv.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_targets_stdout_is_its_own(clone: Path) -> None:
    """What the set-up prints must not get into a secret that the output is piped to."""
    command = "sign --sdkappid 1400000000 --json"
    done = run("make", "usersig", f"ARGS={command}", folder=clone, stdin=f"{KEY}\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sdkappid"] == 1400000000
    assert done.stderr.startswith("Python: ")


def test_import_paths_of_the_user_change_nothing(clone: Path) -> None:
    (clone / "junk").mkdir()
    (clone / "junk/json.py").write_text("raise SystemExit('the wrong module')\n")
    env = {"PYTHONPATH": str(clone / "junk"), "LANG": "C"}
    done = run("make", "usersig", folder=clone, env=env)
    assert done.returncode == 0, done.stderr
    assert "usage: usersig" in done.stdout


@pytest.mark.parametrize("argument", ["a|b", "a;b", "$HOME", "a $(touch x)", "`touch x`", "a'b"])
def test_arguments_of_the_operators_commands_reach_no_shell(clone: Path, argument: str) -> None:
    (clone / "ops").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (clone / "ops").chmod(0o755)
    arguments = f'dlq "{argument}"'
    done = run("make", "-o", ".tools/ops/.stamp", "ops", f"ARGS={arguments}", folder=clone)
    assert (done.returncode, done.stdout) == (0, f"dlq\n{argument}\n"), done.stderr
    assert not (clone / "x").exists()


def test_a_step_prints_one_line_and_nothing_of_its_command() -> None:
    done = run(".ci/step", "Making it", "sh", "-c", "echo chatter; echo noise >&2")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"Making it \.\.\. \d+ s\n", done.stderr)


@pytest.mark.parametrize(
    ("printed", "unreachable"),
    [
        ("error: Failed to fetch: `https://pypi.org/simple/click/`", True),
        ("Failed to establish a new connection: NewConnectionError", True),
        ("hash mismatch", False),
    ],
)
def test_a_step_that_fails_shows_all_and_tells_a_registry_out_of_reach(
    printed: str, unreachable: bool
) -> None:
    done = run(".ci/step", "Making it", "sh", "-c", 'echo "$0"; exit 3', printed)
    assert (done.returncode, done.stdout) == (3, "")
    assert printed in done.stderr
    assert ("cannot reach the package registry" in done.stderr) is unreachable


def test_servers_on_this_machine_are_reached_without_a_proxy() -> None:
    recipe = 'show:\n\t@echo "$$NO_PROXY|$$no_proxy"\ninclude Makefile\n'
    for variable in ("OTHER", "NO_PROXY", "no_proxy"):
        done = run("make", "-f", "-", "show", stdin=recipe, env={variable: "a.example"})
        first = "" if variable == "OTHER" else "a.example,"
        hosts = f"{first}127.0.0.1,localhost,::1"
        assert done.stdout == f"{hosts}|{hosts}\n", done.stderr


def test_a_home_that_cannot_be_written_to_holds_no_caches(tmp_path: Path) -> None:
    recipe = 'show:\n\t@echo "$${UV_CACHE_DIR-}"\ninclude Makefile\n'
    done = run("make", "-f", "-", "show", stdin=recipe, env={"HOME": "/proc/1"})
    assert done.stdout == f"{ROOT}/.tools/uv-cache\n", done.stderr
    done = run("make", "-f", "-", "show", stdin=recipe, env={"HOME": str(tmp_path)})
    assert done.stdout == "\n", done.stderr


def test_help_groups_the_targets_and_says_how_long_each_takes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert phony
    targets = set(phony[1].replace("\\", " ").split()) - {"help", "FORCE"}
    done = run("make")
    lines = dict(re.findall(r"^  ([a-z-]+) +(.+)$", done.stdout, re.MULTILINE))
    assert set(lines) - {"help"} == targets
    assert [name for name, text in lines.items() if name != "help" and "(" not in text] == []
    assert {"Try it", "Operate", "Test", "Check"} <= set(done.stdout.splitlines())
