"""The bucket and the table of jobs, emulated, and documents of jobs in them."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3

from timpush.jobs.state import Document, chosen_id, new_document
from timpush.jobs.table import INDEX, Table, create_job, end_job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

KEYS = ("JobId", "Item", "Listing", "StartedAt")
TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in KEYS],
    "KeySchema": [
        {"AttributeName": "JobId", "KeyType": "HASH"},
        {"AttributeName": "Item", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [
                {"AttributeName": "Listing", "KeyType": "HASH"},
                {"AttributeName": "StartedAt", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
"""The table of jobs, as DynamoDB and CloudFormation both describe one."""
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@dataclass(frozen=True)
class JobStore:
    """A bucket and a table of their own."""

    s3: "S3Client"
    table: Table
    bucket: str

    def put_job(self, job_id: str, **values: Any) -> Document:
        """Write a job's document; one with `EndedAt` has ended."""
        document = new_document(job_id, self.bucket, f"inbox/{job_id}/users.csv", NOON)
        document.update(values)  # type: ignore[typeddict-item]
        create_job(self.table, document, round(time.time()) + 3_600)
        if document["EndedAt"]:
            end_job(self.table, job_id, {}, datetime.fromisoformat(document["EndedAt"]))
        return document

    def uploads(self) -> dict[str, bytes]:
        """Key -> content of what is in the inbox."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="inbox/").get("Contents", [])
        return {
            one["Key"]: self.s3.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read()
            for one in listed
        }

    def metadata(self, key: str) -> dict[str, str]:
        """The metadata of an object."""
        return self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]

    @contextmanager
    def ending(self, **values: Any) -> Iterator[None]:
        """Each upload of the default session meanwhile is a job that ends at once with these."""

        inputs: list[str] = []

        def remember(params: dict[str, Any], **_: Any) -> None:
            inputs.append(params["Key"])

        def end(**_: Any) -> None:
            job_id = chosen_id(inputs.pop())
            assert job_id
            self.put_job(job_id, **({"State": "done", "EndedAt": "2026-11-25T12:01:00Z"} | values))

        with hooks(
            {"before-parameter-build.s3.PutObject": remember, "after-call.s3.PutObject": end}
        ):
            yield


@contextmanager
def hooks(calls: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Clients of the default session that are made meanwhile call these at events of botocore."""
    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION
    for event, call in calls.items():
        boto3.DEFAULT_SESSION.events.register(event, call)
    try:
        yield
    finally:
        boto3.setup_default_session()


@contextmanager
def job_store() -> Iterator[JobStore]:
    """An empty bucket and table, by the environment's AWS."""
    s3: S3Client = boto3.client("s3")
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    name = f"jobs-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    dynamodb.create_table(TableName=name, **TABLE)
    yield JobStore(s3, Table(dynamodb, name), name)
    s3.close()
    dynamodb.close()


@contextmanager
def sent_job(variables: Mapping[str, str], job_id: str) -> Iterator[JobStore]:
    """A bucket and a table by the AWS of these variables, with one job whose messages were sent."""
    with patch.dict(os.environ, variables), job_store() as store:
        store.put_job(job_id, State="settling")
        yield store
