"""AWS clients: their timeouts, retries and connections. The defaults would outlast a function."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

SQS_THREADS = 16
"""The most threads that use an SQS client at once. Its pool holds a connection for each of them:
botocore keeps 10 by default, and opens and closes the others for a single request each."""
DYNAMODB_THREADS = 8
"""The most threads that use a DynamoDB client at once."""


def make_config(read_timeout: float = 2, attempts: int = 2, connections: int = 1) -> Config:
    """The settings of a client; a request takes at most `attempts` times 1 s and `read_timeout`."""
    return Config(
        connect_timeout=1,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
    )


def make_sqs() -> "SQSClient":
    """A client of SQS for up to `SQS_THREADS` threads."""
    return boto3.client("sqs", config=make_config(connections=SQS_THREADS))


def make_secrets_manager(read_timeout: float = 2, attempts: int = 2) -> "SecretsManagerClient":
    """A client of Secrets Manager, for one thread."""
    return boto3.client("secretsmanager", config=make_config(read_timeout, attempts))


def make_dynamodb() -> "DynamoDBClient":
    """A client of DynamoDB for up to `DYNAMODB_THREADS` threads."""
    return boto3.client("dynamodb", config=make_config(connections=DYNAMODB_THREADS))


def make_presigner() -> "S3Client":
    """A client of S3 to sign URLs of the bucket's own region with Signature Version 4."""
    signing = Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual"},
        request_checksum_calculation="when_required",
    )
    return boto3.client("s3", config=signing)
