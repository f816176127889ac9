"""A process that may use a part of a processor uses no more, and is let go afterwards."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reliability.cpu_share import CGROUPS, limited

BURN = "while True: pass"
SECONDS = 1.0

allowed = pytest.mark.skipif(
    not os.access(CGROUPS / "cpu", os.W_OK) and not os.access(CGROUPS / "cpu.max", os.W_OK),
    reason="only root on Linux with cgroups may set a process's part of a processor",
)


def used(pid: int) -> float:
    """The processor time, in seconds, that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@allowed
def test_a_process_gets_its_part_and_no_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        with limited(process.pid, 0.1):
            before, started = used(process.pid), time.monotonic()
            time.sleep(SECONDS)
            part = (used(process.pid) - before) / (time.monotonic() - started)
        assert part < 0.2  # without a limit it is far more, also on a machine that is busy
    finally:
        process.kill()
        process.wait()


@allowed
def test_nothing_is_left_when_the_process_ends_first() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    with limited(process.pid, 0.5):
        process.wait()
    assert list(CGROUPS.glob(f"**/timpush-cpu-share-{os.getpid()}-*")) == []


def test_where_it_cannot_be_set_an_error_says_so() -> None:
    no_process = 2**22 + 1  # above the largest pid
    error = pytest.raises(RuntimeError, match="no part of a processor can be set here")
    with error, limited(no_process, 0.5):
        pytest.fail("there is no such process")
