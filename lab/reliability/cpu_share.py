"""Gives a process a part of a processor's time and no more, as Lambda does. Linux, as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 20_000
"""In each period a process gets its part, then rests until the next."""


@contextmanager
def limited(pid: int, share: float) -> Iterator[None]:
    """Until the block ends, process `pid` gets at most `share` of a processor; it may end before.

    Raises:
        RuntimeError: the machine does not let this process do that.
    """
    v1 = (CGROUPS / "cpu/cpu.cfs_quota_us").exists()
    group = CGROUPS / ("cpu" if v1 else "") / f"timpush-cpu-share-{os.getpid()}-{pid}"
    quota = str(round(PERIOD_MICROSECONDS * share))
    try:
        group.mkdir()
    except OSError as error:
        raise RuntimeError(f"no part of a processor can be set here: {error}") from None
    try:
        if v1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(quota)
        else:
            (CGROUPS / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    except OSError as error:
        raise RuntimeError(f"no part of a processor can be set here: {error}") from None
    finally:
        _empty(group)
        group.rmdir()


def _empty(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        (group.parent / "cgroup.procs").write_text(pid)
