"""The command that signs, decodes and verifies a UserSig, as an operator runs it."""

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from timpush_server.server import DEMO_KEY
from timpush_server.signature import read, sign

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-S", "-B", str(ROOT / "tools/usersig.py")]
ENVIRONMENT = {"PATH": ""}
SECONDS = 30


def run(*arguments: str, answers: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the command with these lines on standard input, with Python alone."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=answers,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def signed(key: str = DEMO_KEY, age: int = 0) -> str:
    return sign("administrator", 1400000000, key, int(time.time()) - age, 3_600)


class TestSign:
    def test_prints_a_usersig_that_timpush_takes(self) -> None:
        done = run("sign", "--sdkappid", "1400000000", "--days", "2", answers=f"{DEMO_KEY}\n")

        made = read(done.stdout.strip(), DEMO_KEY)
        assert done.returncode == 0
        assert made is not None
        assert made.genuine
        assert (made.sdkappid, made.identifier) == (1400000000, "administrator")
        assert made.expires_at == pytest.approx(time.time() + 2 * 86_400, abs=SECONDS)

    def test_prints_the_value_of_the_secret_when_asked(self) -> None:
        arguments = ["sign", "--sdkappid", "7", "--identifier", "ops", "--json"]

        value = json.loads(run(*arguments, answers=DEMO_KEY).stdout)

        assert (value["sdkappid"], value["identifier"]) == (7, "ops")
        made = read(value["usersig"], DEMO_KEY)
        assert made is not None
        assert made.genuine

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--sdkappid", "0"],
            ["--sdkappid", "x"],
            ["--sdkappid", "1", "--days", "0"],
            ["--sdkappid", "1", "--days", "3651"],
            ["--sdkappid", "1", "--key", DEMO_KEY],
        ],
    )
    def test_refuses_arguments_that_make_no_sense(self, arguments: list[str]) -> None:
        done = run("sign", *arguments, answers=DEMO_KEY)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "usage:" in done.stderr

    def test_asks_for_the_key_without_showing_it(self) -> None:
        """At a terminal; without a terminal of its own the process asks on the one it is given."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "sign", "--sdkappid", "1400000000"],
            env=ENVIRONMENT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        limit = threading.Timer(SECONDS, process.kill)
        limit.start()
        shown = b""
        with os.fdopen(master, "r+b", buffering=0) as terminal:
            while b"key:" not in shown:
                shown += terminal.read(100)
            terminal.write(f"{DEMO_KEY}\n".encode())
            while b"eJ" not in shown or not shown.endswith(b"\n"):
                shown += terminal.read(4_096)
            assert process.wait(SECONDS) == 0
        limit.cancel()

        assert DEMO_KEY.encode() not in shown


class TestDecode:
    def test_shows_what_a_usersig_says_without_a_key(self) -> None:
        done = run("decode", answers=signed())

        assert done.returncode == 0
        shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        assert shown["identifier"] == "administrator"
        assert shown["sdkappid"] == "1400000000"
        assert 3_600 - SECONDS <= int(shown["left"].removesuffix(" s")) <= 3_600
        assert shown["issued"].endswith("+00:00")

    def test_shows_that_it_has_expired(self) -> None:
        assert "expired 1" in run("decode", answers=signed(age=3_700)).stdout

    def test_shows_times_that_no_calendar_has(self) -> None:
        done = run("decode", answers=sign("a", 1, "k", 2**52, 1))
        assert done.returncode == 0
        assert str(2**52) in done.stdout

    def test_refuses_what_is_none_and_does_not_repeat_it(self) -> None:
        done = run("decode", answers="eJnonsense\n")
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == "the UserSig cannot be decoded\n"


class TestVerify:
    def test_accepts_one_that_the_key_signed(self) -> None:
        done = run("verify", answers=f"{signed()}\n{DEMO_KEY}\n")
        assert done.returncode == 0
        assert "made with this key" in done.stdout

    def test_refuses_one_that_another_key_signed(self) -> None:
        done = run("verify", answers=f"{signed('other')}\n{DEMO_KEY}\n")
        assert done.returncode == 1
        assert "made with another key" in done.stdout

    def test_refuses_one_that_has_expired(self) -> None:
        done = run("verify", answers=f"{signed(age=3_700)}\n{DEMO_KEY}\n")
        assert done.returncode == 1
        assert "made with this key" in done.stdout

    @pytest.mark.parametrize("answers", ["", "\n", "{usersig}\n", "{usersig}\n \n"])
    def test_says_what_was_not_given(self, answers: str) -> None:
        done = run("verify", answers=answers.format(usersig=signed()))
        assert done.returncode == 1
        assert "was given: type it at a terminal, or pipe it in" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_key_is_never_printed() -> None:
    for arguments in (["sign", "--sdkappid", "1"], ["decode"], ["verify"]):
        done = run(*arguments, answers=f"{DEMO_KEY}\n{DEMO_KEY}\n")
        assert DEMO_KEY not in done.stdout + done.stderr
