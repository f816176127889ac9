"""What tests share: an AWS emulated in this process, the functions around it, and the template."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from support.api import Api, serving
from support.clients import refusing_url, secrets_client, sqs_client
from support.rotation import moto_server
from support.worker import Worker, working
from template.translate import TEMPLATES, Template, load, translate

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# No example is timed: how long one takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONGEST = ("tests/e2e/", "tests/worker/test_runtime.py", "tests/static/test_artefact.py")
"""Begun first, so that a run with several processes does not end with one of them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class OneDeployment(LoadFileScheduling):  # type: ignore[misc]
    """Gives a file to one process, and tests/e2e as a whole: each process would deploy a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneDeployment:
    return OneDeployment(config, log)


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def secrets(aws_url: str) -> Iterator["SecretsManagerClient"]:
    client = secrets_client(aws_url)
    yield client
    client.close()


@pytest.fixture
def unreachable_secrets() -> Iterator["SecretsManagerClient"]:
    with refusing_url() as url:
        yield secrets_client(url)


@pytest.fixture
def sqs(aws_url: str) -> Iterator["SQSClient"]:
    client = sqs_client(aws_url)
    yield client
    client.close()


@pytest.fixture
def worker(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    with working(aws_url, monkeypatch) as made:
        yield made


@pytest.fixture
def api(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with serving(aws_url, monkeypatch.setenv) as started:
        yield started


@pytest.fixture(scope="session")
def written() -> Template:
    """The SAM template; tests must not change it."""
    return load()


@pytest.fixture(scope="session")
def translated(written: Template) -> Template:
    """What CloudFormation makes of it; tests must not change it."""
    return translate(written)


@pytest.fixture(scope="session")
def written_jobs() -> Template:
    """The nested application of jobs; tests must not change it."""
    return load(TEMPLATES["jobs"])


@pytest.fixture(scope="session")
def jobs(written_jobs: Template) -> Template:
    """The same, translated; tests must not change it."""
    return translate(written_jobs, TEMPLATES["jobs"].parent)


@pytest.fixture(scope="session", params=["template", "jobs"])
def application(request: pytest.FixtureRequest, translated: Template, jobs: Template) -> Template:
    """Each template that holds functions, in turn, translated; tests must not change it."""
    return {"template": translated, "jobs": jobs}[request.param]


@pytest.fixture(scope="session")
def written_monitoring() -> Template:
    """The nested application that watches; tests must not change it."""
    return load(TEMPLATES["monitoring"])


@pytest.fixture(scope="session")
def monitoring(written_monitoring: Template) -> Template:
    """The same, translated; tests must not change it."""
    return translate(written_monitoring)
