"""What a plain handler acknowledges without a removal: the figures of README.md and docs/."""

from pathlib import Path

import pytest

from benchmarks.acknowledged import Row, count
from support.modules import run_module

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
    done = run_module("benchmarks.acknowledged", seconds=150)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == 5
    document = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert [line for line in lines if line not in document.splitlines()] == []
    assert "acknowledges all 100" in (ROOT / "README.md").read_text(encoding="utf-8")
