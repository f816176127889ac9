"""What a stack made, by the names of its outputs, and clients with an operator's patience."""

import os
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONNECTIONS = 16
OUTPUTS = {
    "queue_url": "QueueUrl",
    "dead_letter_queue_url": "DeadLetterQueueUrl",
    "function_name": "WorkerFunctionName",
    "mapping_id": "WorkerMappingId",
    "jobs_bucket": "JobsBucketName",
    "jobs_table": "JobsTableName",
    "worker_log_group": "WorkerLogGroupName",
    "secret_id": "SecretArn",
    "rotation_log_group": "RotationLogGroupName",
}
"""Option -> the output of the stack that stands in for it."""


class TargetError(Exception):
    """Neither an option nor the stack names what a command needs."""


def make_client(service: Any, attempts: int = 4) -> Any:
    """A boto3 client by the usual chain of settings; `attempts` at each request.

    AWS_REGION, which boto3 does not read, comes first, as in the AWS command line.
    """
    config = Config(
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return boto3.client(service, config=config, region_name=os.environ.get("AWS_REGION") or None)


def resolve(stack_name: str | None, given: Mapping[str, str | None]) -> dict[str, str]:
    """The value of each option: as given, else the stack's output.

    Raises:
        TargetError: an option is missing, and there is no stack or no such output.
    """
    missing = [name for name, value in given.items() if not value]
    if not missing:
        return {name: value for name, value in given.items() if value}
    if not stack_name:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise TargetError(f"give --stack-name, or {options}")
    outputs = read_outputs(stack_name)
    absent = [OUTPUTS[name] for name in missing if OUTPUTS[name] not in outputs]
    if absent:
        raise TargetError(f"the stack {stack_name} has no output {', '.join(absent)}")
    return {name: value or outputs[OUTPUTS[name]] for name, value in given.items()}


def read_outputs(stack_name: str) -> dict[str, str]:
    """The outputs of a stack.

    Raises:
        TargetError: there is no such stack.
    """
    client = make_client("cloudformation")
    try:
        stacks = client.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise TargetError(
            f"there is no stack {stack_name} in {client.meta.region_name}. To list the stacks: "
            "aws cloudformation describe-stacks --query 'Stacks[].StackName'"
        ) from None
    return {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", [])}
