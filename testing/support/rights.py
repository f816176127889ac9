"""Which IAM actions the calls of boto3 clients need, on which resources.

`recording` hears of each call from botocore itself, by an event of the default session, so what a
command calls is what is recorded.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from support.job_store import hooks

ACTIONS = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:UploadPart": "s3:PutObject",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
"""Calls whose action has another name than the call.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and
list_amazonsqs.html (2026-11).
"""

Parameters = Mapping[str, Any]


class Right(NamedTuple):
    """An IAM action, and the ARN of the resource that it is needed on; `*` where AWS knows none."""

    action: str
    resource: str


def to_right(service: str, operation: str, parameters: Parameters, account: str) -> Right:
    """The right that a call needs. boto3's names of the services used here are those of IAM."""
    call = f"{service}:{operation}"
    name = RESOURCES[service](parameters)
    where = ":" if service == "s3" else f"us-east-1:{account}"
    arn = f"arn:aws:{service}:{where}:{name}" if name else "*"
    return Right(ACTIONS.get(call, call), arn)


def lambda_resource(parameters: Parameters) -> str:
    """A call that names a mapping, a function, or, when it lists, neither."""
    if "UUID" in parameters:
        return f"event-source-mapping:{parameters['UUID']}"
    if "FunctionName" in parameters and "EventSourceArn" not in parameters:
        return f"function:{parameters['FunctionName']}"
    return ""


def table_resource(parameters: Parameters) -> str:
    """A table, or one of its indexes."""
    index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
    return f"table/{parameters['TableName']}{index}"


RESOURCES: dict[str, Callable[[Parameters], str]] = {
    "cloudformation": lambda one: f"stack/{one['StackName']}/id",
    "cloudwatch": lambda _: "",
    "dynamodb": table_resource,
    "lambda": lambda_resource,
    "logs": lambda one: f"log-group:{one['logGroupName']}",
    "s3": lambda one: f"{one['Bucket']}/{one['Key']}",
    "secretsmanager": lambda one: f"secret:{one['SecretId'].rpartition(':')[2]}",
    "sqs": lambda one: one["QueueUrl"].rpartition("/")[2],
}
"""Service -> the part of the ARN that a call's parameters name; empty: no right names one."""


@contextmanager
def recording(account: str, events: Mapping[str, Callable[..., Any]]) -> Iterator[set[Right]]:
    """The rights that calls of the default session need meanwhile; `events` happen beside them.

    A client that was made before is not heard.
    """
    found: set[Right] = set()

    def record(params: Parameters, model: Any, **_: Any) -> None:
        found.add(to_right(model.service_model.service_name, model.name, params, account))

    with hooks({"before-parameter-build": record, **events}):
        yield found
