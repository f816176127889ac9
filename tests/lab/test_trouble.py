"""A smaller run of the pace while TIMPush fails in part."""

import pytest

from reliability.trouble import TROUBLES
from support.modules import run_module


@pytest.mark.slow
def test_the_pace_reaches_its_goals_while_calls_fail_in_part() -> None:
    done = run_module("reliability.trouble", "--users", "400000", seconds=150)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()[2:]
    assert len(rows) == len(TROUBLES)
    assert all(row.startswith(trouble.name) for row, trouble in zip(rows, TROUBLES, strict=True))
