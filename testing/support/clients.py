"""boto3 clients for an AWS emulated on this machine, with the patience of the functions."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONFIG = Config(
    connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}
)


def secrets_client(url: str) -> "SecretsManagerClient":
    return _session().client("secretsmanager", endpoint_url=url, config=CONFIG)


def sqs_client(url: str) -> "SQSClient":
    return _session().client("sqs", endpoint_url=url, config=CONFIG)


@cache  # a new session reads the descriptions of the services again
def _session() -> boto3.Session:
    keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.Session(region_name="us-east-1", **keys)


@contextmanager
def refusing_url() -> Iterator[str]:
    """A URL whose port is taken and answers no connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: a connection is refused
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
