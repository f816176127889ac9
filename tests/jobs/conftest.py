"""A job between an emulated AWS, the worker and a stand-in TIMPush."""

from collections.abc import Iterator

import pytest

from support.jobs import JobRun, running_job
from support.worker import Worker


@pytest.fixture
def job(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobRun]:
    with running_job(worker, monkeypatch) as made:
        yield made
