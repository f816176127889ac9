"""A stack in an emulated AWS with figures to show on the operators' page."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3

from support.job_store import JobStore, job_store
from template.translate import TEMPLATES, load
from timpush.jobs.chunks import ChunkId, Settlement
from timpush.jobs.ranges import Range, pack_sizes
from timpush.jobs.table import put_ranges, record_chunks
from timpush.metrics import NAMESPACE

APP_CALLS, API_CALLS = 100, 10
WORKER_CALLS = 79
"""100 - 2 x 10 - 1: what the template's BudgetSaturatedAlarm computes as well."""
TEMPLATE = {
    "Parameters": {
        "AppCallsPerSecond": {"Type": "Number", "Default": APP_CALLS},
        "ApiCallsPerSecond": {"Type": "Number", "Default": API_CALLS},
        "Table": {"Type": "String"},
    },
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue"},
        # moto would run the function for each message of the mapping's queue.
        "Empty": {"Type": "AWS::SQS::Queue"},
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Log": {"Type": "AWS::Logs::LogGroup"},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
        "Worker": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "-"},
            },
        },
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "Worker"},
                "EventSourceArn": {"Fn::GetAtt": ["Empty", "Arn"]},
            },
        },
    },
    "Outputs": {
        "QueueUrl": {"Value": {"Ref": "Queue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "Dead"}},
        "WorkerMappingId": {"Value": {"Ref": "Mapping"}},
        "WorkerLogGroupName": {"Value": {"Ref": "Log"}},
        "JobsTableName": {"Value": {"Ref": "Table"}},
    },
}


@dataclass(frozen=True)
class BoardStack:
    """A deployed stack by its name; clients are of the environment's AWS."""

    name: str
    outputs: Mapping[str, str]
    jobs: JobStore

    def send(self, output: str, messages: int) -> None:
        """Put up to ten messages onto a queue, named by its output."""
        entries: Any = [{"Id": str(number), "MessageBody": "{}"} for number in range(messages)]
        with closing(boto3.client("sqs")) as sqs:
            sqs.send_message_batch(QueueUrl=self.outputs[output], Entries=entries)

    def count(self, metric: str, value: float, *ago: int, service: str = "") -> None:
        """Report a metric, so many seconds ago each time; without: two minutes ago."""
        dimension = {"Name": "service", "Value": service or self.name}
        self._put(NAMESPACE, metric, value, dimension, ago or (120,))

    def age(self, seconds: float) -> None:
        """Report the age of the oldest message."""
        name = self.outputs["QueueUrl"].rpartition("/")[2]
        dimension = {"Name": "QueueName", "Value": name}
        self._put("AWS/SQS", "ApproximateAgeOfOldestMessage", seconds, dimension, (120,))

    def _put(
        self, namespace: str, metric: str, value: float, dimension: Any, ago: Sequence[int]
    ) -> None:
        at = [datetime.fromtimestamp(time.time() - seconds, UTC) for seconds in ago]
        datum: Any = {"MetricName": metric, "Dimensions": [dimension], "Value": value}
        with closing(boto3.client("cloudwatch")) as cloudwatch:
            cloudwatch.put_metric_data(
                Namespace=namespace, MetricData=[datum | {"Timestamp": one} for one in at]
            )

    def log(self, *lines: Mapping[str, Any] | str) -> None:
        """Write lines to the worker's log, a minute ago."""
        at = round((time.time() - 60) * 1_000)
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        stream: Any = {
            "logGroupName": self.outputs["WorkerLogGroupName"],
            "logStreamName": uuid.uuid4().hex,
        }
        with closing(boto3.client("logs")) as logs:
            logs.create_log_stream(**stream)
            logs.put_log_events(
                **stream, logEvents=[{"timestamp": at, "message": text} for text in texts]
            )

    def alarm(self, label: str, state: Any, stack_name: str = "") -> None:
        """Make an alarm of the template, with its text there and in a state."""
        stack = stack_name or self.name
        name = f"{stack}-Monitoring-1AB2C3-{label}-4DE5F6"
        with closing(boto3.client("cloudwatch")) as cloudwatch:
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                AlarmDescription=alarm_text(label).replace("${ServiceName}", stack),
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                EvaluationPeriods=1,
                Namespace="none",
                MetricName="none",
                Period=60,
                Statistic="Sum",
                Threshold=1,
            )
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="set by hand")

    def pause(self) -> None:
        """Disable the mapping."""
        mapping = self.outputs["WorkerMappingId"]
        with closing(boto3.client("lambda")) as functions:
            functions.update_event_source_mapping(UUID=mapping, Enabled=False)


@cache
def alarm_text(label: str) -> str:
    """The description of an alarm in the template."""
    written = load(TEMPLATES["monitoring"])["Resources"][label]["Properties"]
    text: str = written["AlarmDescription"]["Fn::Sub"]
    return text


@contextmanager
def board_stack() -> Iterator[BoardStack]:
    """A new stack with empty queues and no jobs, in the environment's AWS."""
    name = f"board-{uuid.uuid4().hex[:8]}"
    stacks = boto3.client("cloudformation")
    with job_store() as store:
        stacks.create_stack(
            StackName=name,
            TemplateBody=json.dumps(TEMPLATE),
            Parameters=[{"ParameterKey": "Table", "ParameterValue": store.table.name}],
        )
        stack: Any = stacks.describe_stacks(StackName=name)["Stacks"][0]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        yield BoardStack(name, outputs, store)
    stacks.close()


def fill(stack: BoardStack) -> None:
    """Let a campaign be under way, with some of everything that the page shows."""
    stack.send("QueueUrl", 10)
    stack.send("DeadLetterQueueUrl", 3)
    stack.age(254)
    for part, first in ((0.93, 2), (0.88, 3), (0.62, 4)):
        minutes = [60 * minute for minute in range(first, 48, 3)]
        stack.count("Calls", WORKER_CALLS * 60 * part, *minutes)
        stack.count("UsersRemoved", WORKER_CALLS * 60 * part * 97, *minutes)
    stack.count("Calls", 300, service=f"{stack.name}-endpoint")
    stack.count("HandedBackTransient", 311)
    stack.count("HandedBackRateLimited", 8)
    stack.count("MessagesParkedMalformed", 1)
    stack.log(
        {"message": "batch settled", "parked": {"70107": 118, "90034": 3, "Expired": 12}},
        {"message": "batch settled", "parked": {"70107": 41}},
    )
    for label in ("QueueAgeAlarm", "InFlightAlarm", "HandedBackAlarm", "WorkerErrorsAlarm"):
        stack.alarm(label, "OK")
    stack.alarm("UserSigExpiryAlarm", "INSUFFICIENT_DATA")
    stack.alarm("DeadLetterQueueAlarm", "ALARM")
    put_jobs(stack)


def put_jobs(stack: BoardStack) -> None:
    """Jobs that have ended in each way, and one that is under way."""
    figures = {"Rows": 1_000_000, "Users": 1_000_000, "Settled": 1_000_000}
    stack.jobs.put_job(
        "20261125T090000Z-1f3a9b2c",
        State="done",
        Key="inbox/20261125T090000Z-1f3a9b2c/winback.csv",
        StartedAt="2026-11-25T09:00:00Z",
        EndedAt="2026-11-25T09:01:50Z",
        RequestedBy="Ann",
        Removed=999_836,
        NotRemoved=164,
        **figures,
    )
    stack.jobs.put_job(
        "20261125T080000Z-0a9d31f7",
        State="failed",
        Reason="line 3: To_Account is empty",
        StartedAt="2026-11-25T08:00:00Z",
        EndedAt="2026-11-25T08:00:05Z",
        Rows=6_688,
        FaultyRows=1,
        Users=6_687,
    )
    job_id = "20261125T100000Z-77c0ffee"
    stack.jobs.put_job(job_id, State="sending", RequestedBy="Ben")
    put_progress(stack, job_id)


def put_progress(stack: BoardStack, job_id: str) -> None:
    """Of 200,000 users, let 124,260 be removed and 40 be rejected."""
    table, expires = stack.jobs.table, round(time.time()) + 3_600
    whole = Range(0, 0, 1, rows=200_000, sizes=pack_sizes([100] * 2_000), sent_to=1_500)
    put_ranges(table, job_id, [whole], expires)
    rejected = Settlement([("user", "tag", "70107", "unknown")], [], [], 40)
    done = [ChunkId(0, number) for number in range(1_242)]
    record_chunks(table, job_id, expires, done, settlements={"0:1242": rejected})
