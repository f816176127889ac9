"""What unit tests share: untimed examples, and clients of an AWS emulated in this process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support.clients import refusing_url, secrets_client, sqs_client
from support.rotation import moto_server

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# No example is timed: how long one takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


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
