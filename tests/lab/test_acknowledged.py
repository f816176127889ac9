"""What a plain handler acknowledges without a removal: the figures of README.md and docs/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.acknowledged import Row, count

ROOT = Path(__file__).parents[2]


def record(message_id: str, *accounts: str) -> dict[str, str]:
    """A record of an event, as far as it counts here."""
    users = ", ".join(f'{{"To_Account": "{one}"}}' for one in accounts)
    return {"messageId": message_id, "body": f'{{"UserTags": [{users}]}}'}


def test_each_user_counts_once() -> None:
    batch = {"Records": [record("m1", "a", "b", "c", "d"), record("m2", "e", "f")]}
    reply = {"batchItemFailures": [{"itemIdentifier": "m2"}]}
    row = count(batch, reply, still={"a", "b", "c", "e"}, dead={"b"}, again={"c"})
    assert row == Row(removed=2, dead_lettered=1, queued=2, lost=1)


@pytest.mark.slow
def test_the_documents_have_the_figures_that_the_command_prints() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.acknowledged"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == 5
    document = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert [line for line in lines if line not in document.splitlines()] == []
    assert "acknowledges all 100" in (ROOT / "README.md").read_text(encoding="utf-8")
