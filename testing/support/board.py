"""A stack in an emulated AWS with figures to show on the operators' page."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3

from support.job_store import JobStore, job_store
from template.translate import TEMPLATES, load
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
        """Put messages onto a queue, named by its output."""
        sqs = boto3.client("sqs")
        for _ in range(messages):
            sqs.send_message(QueueUrl=self.outputs[output], MessageBody="{}")
        sqs.close()

    def count(self, metric: str, value: float, ago: int = 120, service: str = "") -> None:
        """Report a metric, so many seconds ago."""
        dimension = {"Name": "service", "Value": service or self.name}
        self._put(NAMESPACE, metric, value, dimension, ago)

    def age(self, seconds: float) -> None:
        """Report the age of the oldest message."""
        name = self.outputs["QueueUrl"].rpartition("/")[2]
        dimension = {"Name": "QueueName", "Value": name}
        self._put("AWS/SQS", "ApproximateAgeOfOldestMessage", seconds, dimension, 120)

    def _put(self, namespace: str, metric: str, value: float, dimension: Any, ago: int) -> None:
        cloudwatch = boto3.client("cloudwatch")
        at = datetime.fromtimestamp(time.time() - ago, UTC)
        datum: Any = {
            "MetricName": metric,
            "Dimensions": [dimension],
            "Timestamp": at,
            "Value": value,
        }
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])
        cloudwatch.close()

    def log(self, *lines: Mapping[str, Any] | str) -> None:
        """Write lines to the worker's log, a minute ago."""
        logs = boto3.client("logs")
        group, stream = self.outputs["WorkerLogGroupName"], uuid.uuid4().hex
        at = round((time.time() - 60) * 1_000)
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        logs.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": at, "message": text} for text in texts],
        )
        logs.close()

    def alarm(self, label: str, state: Any, stack_name: str = "") -> None:
        """Make an alarm of the template, with its text there and in a state."""
        cloudwatch = boto3.client("cloudwatch")
        stack = stack_name or self.name
        name = f"{stack}-Monitoring-1AB2C3-{label}-4DE5F6"
        written = load(TEMPLATES["monitoring"])["Resources"][label]["Properties"]
        text = written["AlarmDescription"]["Fn::Sub"].replace("${ServiceName}", stack)
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=text,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            EvaluationPeriods=1,
            Namespace="none",
            MetricName="none",
            Period=60,
            Statistic="Sum",
            Threshold=1,
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="set by hand")
        cloudwatch.close()

    def pause(self) -> None:
        """Disable the mapping."""
        functions = boto3.client("lambda")
        functions.update_event_source_mapping(UUID=self.outputs["WorkerMappingId"], Enabled=False)
        functions.close()


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
    stack.send("QueueUrl", 42)
    stack.send("DeadLetterQueueUrl", 3)
    stack.age(254)
    for minute in range(2, 48):
        calls = WORKER_CALLS * 60 * (0.93 if minute % 7 else 0.62)
        stack.count("Calls", calls, minute * 60)
        stack.count("UsersRemoved", 97 * calls, minute * 60)
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
    """Jobs that have ended in each way, and one that is being checked."""
    figures = {"Rows": 1_000_000, "Users": 1_000_000, "Settled": 1_000_000}
    stack.jobs.put_job(
        "20261125T090000Z-1f3a9b2c",
        State="done",
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
    stack.jobs.put_job("20261125T100000Z-77c0ffee", State="sending", RequestedBy="Ben")
