"""What functional tests share: AWS emulated in this process, and the functions around it."""

from collections.abc import Iterator

import pytest

from support.api import Api, serving
from support.rotation import moto_server
from support.worker import Worker, working


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def worker(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    with working(aws_url, monkeypatch) as made:
        yield made


@pytest.fixture
def api(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with serving(aws_url, monkeypatch.setenv) as started:
        yield started
