"""A stack in an emulated AWS with all that an operator's command asks for.

Its resources have the logical ids of the template, so their names, which CloudFormation makes,
begin as those of a real stack do.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3

from support.job_store import TABLE, JobStore
from support.ops import Done, Operated
from timpush.jobs.state import chosen_id, report_key
from timpush.jobs.table import Table, end_job
from timpush_server import TimPushServer

ACCOUNT = "123456789012"
"""The one that moto emulates."""
TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "AppCallsPerSecond": {"Type": "Number", "AllowedValues": [60, 80, 100]},
        "ApiCallsPerSecond": {"Type": "Number"},
    },
    "Resources": {
        "RemoveTagsQueue": {"Type": "AWS::SQS::Queue"},
        "RemoveTagsDeadLetterQueue": {"Type": "AWS::SQS::Queue"},
        "RemoveTagsWorkerLogGroup": {"Type": "AWS::Logs::LogGroup"},
        "RotateUserSigLogGroup": {"Type": "AWS::Logs::LogGroup"},
        "RemoveTagsWorkerRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {}},
        },
        "RemoveTagsWorker": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "Role": {"Fn::GetAtt": ["RemoveTagsWorkerRole", "Arn"]},
                "Code": {"ZipFile": "-"},
                "Timeout": 1,
                "Environment": {
                    "Variables": {
                        "TIMPUSH_REGION": "singapore",
                        "TIMPUSH_CALLS_PER_SECOND": "80",
                        "WORKER_CONCURRENCY": "4",
                        "QUEUE_URL": {"Ref": "RemoveTagsQueue"},
                        "DEAD_LETTER_QUEUE_URL": {"Ref": "RemoveTagsDeadLetterQueue"},
                    }
                },
            },
        },
        "RemoveTagsWorkerQueue": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "RemoveTagsWorker"},
                "EventSourceArn": {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": {"MaximumConcurrency": 4},
            },
        },
        "JobsBucket": {"Type": "AWS::S3::Bucket"},
        "JobsTable": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE},
    },
    "Outputs": {
        "QueueUrl": {"Value": {"Ref": "RemoveTagsQueue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "RemoveTagsDeadLetterQueue"}},
        "WorkerFunctionName": {"Value": {"Ref": "RemoveTagsWorker"}},
        "WorkerMappingId": {"Value": {"Ref": "RemoveTagsWorkerQueue"}},
        "WorkerLogGroupName": {"Value": {"Ref": "RemoveTagsWorkerLogGroup"}},
        "RotationLogGroupName": {"Value": {"Ref": "RotateUserSigLogGroup"}},
        "JobsBucketName": {"Value": {"Ref": "JobsBucket"}},
        "JobsTableName": {"Value": {"Ref": "JobsTable"}},
    },
}


@dataclass
class OperatedStack:
    """A deployed stack by its name; its own clients are not those of the commands."""

    name: str
    outputs: dict[str, str]
    operated: Operated
    jobs: JobStore
    breaks_uploads: bool = False
    _running: list[str] = field(default_factory=list)

    def run(self, *words: object) -> Done:
        """Run a command on the stack."""
        return self.operated.run(*words, "--stack-name", self.name)

    def begin_job(self, job_id: str) -> None:
        """Let a job run, until its figures are looked at."""
        self.jobs.put_job(job_id, State="sending")
        self._running.append(job_id)

    def events(self) -> dict[str, Callable[..., Any]]:
        """What happens beside the commands: an upload starts a job, which ends after the first look
        at its figures, with a user who was not removed; Lambda changes a mapping in its own time;
        uploads break when they are to."""
        return {
            "before-parameter-build.s3.PutObject": self._start_job,
            "after-call.dynamodb.Query": self._end_jobs,
            "after-call.lambda.UpdateEventSourceMapping": _take_time,
            "before-call.s3.UploadPart": self._break,
        }

    def _start_job(self, params: dict[str, Any], **_: Any) -> None:
        self.begin_job(str(chosen_id(params["Key"])))

    def _end_jobs(self, **_: Any) -> None:
        while self._running:
            job_id = self._running.pop()
            values = {
                "State": "done",
                "NotRemoved": 1,
                "Report": report_key(job_id, "report.json"),
            }
            end_job(self.jobs.table, job_id, values, datetime.now(UTC))

    def _break(self, **_: Any) -> None:
        if self.breaks_uploads:
            raise OSError("the network is gone")


def _take_time(parsed: dict[str, Any], **_: Any) -> None:
    """Lambda answers before it has done it."""
    parsed["State"] = "Updating"


@contextmanager
def operated_stack(aws_url: str, timpush: TimPushServer) -> Iterator[OperatedStack]:
    """A new stack, by the AWS of the environment."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    stacks, secrets = boto3.client("cloudformation"), boto3.client("secretsmanager")
    secret = secrets.create_secret(Name=name, SecretString=timpush.secret())
    template = copy.deepcopy(TEMPLATE)
    variables = template["Resources"]["RemoveTagsWorker"]["Properties"]["Environment"]["Variables"]
    variables |= {"TIMPUSH_ENDPOINT_URL": timpush.url, "TIMPUSH_SECRET_ID": secret["ARN"]}
    template["Outputs"]["SecretArn"] = {"Value": secret["ARN"]}
    stacks.create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": "AppCallsPerSecond", "ParameterValue": "100"},
            {"ParameterKey": "ApiCallsPerSecond", "ParameterValue": "10"},
        ],
    )
    stack: Any = stacks.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    s3, dynamodb, sqs = boto3.client("s3"), boto3.client("dynamodb"), boto3.client("sqs")
    queues = outputs["QueueUrl"], outputs["DeadLetterQueueUrl"]
    jobs = JobStore(s3, Table(dynamodb, outputs["JobsTableName"]), outputs["JobsBucketName"])
    yield OperatedStack(name, outputs, Operated(sqs, aws_url, *queues), jobs)
    for client in (stacks, secrets, s3, dynamodb, sqs):
        client.close()
