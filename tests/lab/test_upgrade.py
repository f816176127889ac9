"""A stack of version 0.1.0 with messages in its queue is upgraded, and loses nothing."""

import subprocess

import pytest

from local.emulator import ROOT
from local.upgrade import KEPT, RELEASE
from support.modules import run_module


@pytest.mark.slow
def test_messages_and_names_outlast_the_upgrade() -> None:
    reached = subprocess.run(
        ["git", "cat-file", "-e", RELEASE], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    if reached.returncode:
        pytest.skip(f"this clone has no commit {RELEASE[:7]}")
    done = run_module("local.upgrade", seconds=170)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == "300 of 300 users lost the tag and nothing else:"
    assert last == f"same  {KEPT[-1]}"
