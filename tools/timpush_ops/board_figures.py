"""Reads what the operators' page shows, from AWS alone, and changes nothing.

No message is received: that would count against its receives and hide it from others. What lies on
the queues comes from their attributes, what became of users from the metrics and the worker's log.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from timpush.jobs.state import Document
from timpush.jobs.table import Table, list_jobs
from timpush.metrics import HANDED_BACK, NAMESPACE
from timpush.settings import Reader, read_calls_per_second
from timpush.tencent.codes import meaning
from timpush_ops.job_commands import live

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sqs import SQSClient

MINUTE, HOUR = 60, 3_600
RATE_MINUTES = 5
"""Calls per second are the mean of so many whole minutes."""
JOBS = 12
LOG_PAGES = 10
"""Of a FilterLogEvents, each of up to 1 MB or 10,000 lines.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
(2026-11).
"""
DEPTHS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
DELAYED = "ApproximateNumberOfMessagesDelayed"
AGE = "ApproximateAgeOfOldestMessage"
DEAD_LETTERED = ("UsersParkedInput", "UsersParkedExpired", "MessagesParkedMalformed")
WORKER = ("Calls", "UsersRemoved", *DEAD_LETTERED, *dict.fromkeys(HANDED_BACK.values()))


@dataclass(frozen=True, slots=True)
class Clients:
    """The services that the page reads."""

    stacks: "CloudFormationClient"
    functions: "LambdaClient"
    cloudwatch: "CloudWatchClient"
    logs: "CloudWatchLogsClient"
    sqs: "SQSClient"


class Depth(NamedTuple):
    """Messages of a queue: to be received, received and not deleted, sent with a delay."""

    waiting: int
    in_flight: int
    delayed: int


class Share(NamedTuple):
    """Calls per second that the worker, and the endpoint, may make."""

    worker: int
    endpoint: int


class Series(NamedTuple):
    """Sums per minute of the last hour, the oldest first; 0 where nothing was reported."""

    sums: tuple[float, ...]

    @property
    def total(self) -> int:
        return round(sum(self.sums))

    @property
    def per_second(self) -> float:
        """The mean of the last minutes."""
        return sum(self.sums[-RATE_MINUTES:]) / (RATE_MINUTES * MINUTE)


class Metrics(NamedTuple):
    """Metrics of the last hour by name; `oldest` is the age of the oldest message in seconds.

    `reported` is false when CloudWatch has none of the worker: it was idle or paused, or CloudWatch
    is emulated.
    """

    worker: Mapping[str, Series]
    endpoint_calls: Series
    oldest: float | None
    reported: bool


class DeadLetters(NamedTuple):
    """Users whom the worker put on the dead-letter queue in the last hour, by code.

    `complete` is false when the log has more lines than are read.
    """

    users: list[tuple[str, int, str]]
    complete: bool


class Alarm(NamedTuple):
    """`label` is its name in the template and in docs/operations.md."""

    label: str
    state: str
    since: datetime | None
    text: str


def read_depth(sqs: "SQSClient", queue_url: str) -> Depth:
    """How many messages a queue holds."""
    names: Any = [*DEPTHS, DELAYED]
    reply = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
    counts: Any = reply["Attributes"]
    return Depth(*(int(counts.get(name, 0)) for name in names))


def read_mapping(functions: "LambdaClient", mapping_id: str) -> str:
    """The state of the mapping that feeds the worker, such as Enabled or Disabled."""
    return str(functions.get_event_source_mapping(UUID=mapping_id)["State"])


def read_share(stacks: "CloudFormationClient", stack_name: str) -> Share:
    """The calls per second that the stack's parameters give to worker and endpoint.

    Raises:
        SettingsError: the parameters leave nothing to the worker, or are no numbers.
    """
    stack = stacks.describe_stacks(StackName=stack_name)["Stacks"][0]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    api = given.get("ApiCallsPerSecond", "0")
    reader = Reader(
        {
            "APP_CALLS_PER_SECOND": given.get("AppCallsPerSecond", ""),
            "API_CALLS_PER_SECOND": api,
        }
    )
    worker = read_calls_per_second(reader)
    reader.close()
    return Share(worker, 2 * int(api))


def read_metrics(
    cloudwatch: "CloudWatchClient", stack_name: str, queue_url: str, now: float
) -> Metrics:
    """The metrics of the last hour's whole minutes, in one request. `now` is in Unix seconds."""
    end = int(now // MINUTE) * MINUTE
    queries = [
        *(_query(f"w{n}", NAMESPACE, name, "service", stack_name) for n, name in enumerate(WORKER)),
        _query("e", NAMESPACE, "Calls", "service", f"{stack_name}-endpoint"),
        _query("age", "AWS/SQS", AGE, "QueueName", queue_url.rpartition("/")[2], "Maximum"),
    ]
    found: dict[str, dict[int, float]] = {}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries,
        StartTime=datetime.fromtimestamp(end - HOUR, UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
    )
    for page in pages:
        for one in page["MetricDataResults"]:
            points = zip(one["Timestamps"], one["Values"], strict=True)
            found.setdefault(one["Id"], {}).update((int(t.timestamp()), v) for t, v in points)
    minutes = range(end - HOUR, end, MINUTE)

    def series(query: str) -> Series:
        return Series(tuple(found.get(query, {}).get(minute, 0.0) for minute in minutes))

    ages = found.get("age", {})
    return Metrics(
        {name: series(f"w{n}") for n, name in enumerate(WORKER)},
        series("e"),
        ages[max(ages)] if ages else None,
        any(found.get(f"w{n}") for n in range(len(WORKER))),
    )


def _query(
    query: str, namespace: str, metric: str, dimension: str, value: str, statistic: str = "Sum"
) -> Any:
    return {
        "Id": query,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": value}],
            },
            "Period": MINUTE,
            "Stat": statistic,
        },
    }


def read_dead_letters(logs: "CloudWatchLogsClient", log_group: str, now: float) -> DeadLetters:
    """Add up what the worker's log says of users on the dead-letter queue, of the last hour."""
    counts: Counter[str] = Counter()
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group,
        filterPattern='"batch settled"',
        startTime=round((now - HOUR) * 1_000),
    )
    complete = True
    for number, page in enumerate(pages):
        if number == LOG_PAGES:
            complete = False
            break
        for event in page["events"]:
            counts.update(dead_letters_of(event["message"]))
    users = [(code, number, _meaning(code)) for code, number in counts.most_common()]
    return DeadLetters(users, complete)


def dead_letters_of(line: str) -> dict[str, int]:
    """Code -> users, as a line of the worker's log has it; empty for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(entry, dict) or entry.get("message") != "batch settled":
        return {}
    dead_letters = entry.get("parked")
    found = dead_letters.items() if isinstance(dead_letters, dict) else ()
    return {code: number for code, number in found if isinstance(number, int)}


def _meaning(code: str) -> str:
    if code == "Expired":
        return "NotAfter had passed"
    return meaning(int(code)) if code.isdecimal() else ""


def read_alarms(cloudwatch: "CloudWatchClient", stack_name: str) -> list[Alarm]:
    """The stack's alarms: those that ring first, then those without data, then by name.

    They are known by their text, which begins with the stack's name: other stacks' names may begin
    as this one's does.
    """
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{stack_name}-", AlarmTypes=["MetricAlarm"]
    )
    found = [
        to_alarm(one, stack_name)
        for page in pages
        for one in page["MetricAlarms"]
        if one.get("AlarmDescription", "").startswith(f"{stack_name}: ")
    ]
    return sorted(found, key=lambda one: (STATES.index(one.state), one.label))


STATES = ("ALARM", "INSUFFICIENT_DATA", "OK")


def to_alarm(described: Mapping[str, Any], stack_name: str) -> Alarm:
    """An alarm as CloudWatch describes it -> what is shown of it."""
    text, see, label = described["AlarmDescription"].rpartition(" See ")
    return Alarm(
        label=label.split()[0] if see and label else described["AlarmName"],
        state=described["StateValue"],
        since=described.get("StateTransitionedTimestamp") or described.get("StateUpdatedTimestamp"),
        text=(text or described["AlarmDescription"]).removeprefix(f"{stack_name}: "),
    )


def read_jobs(table: Table) -> list[Document]:
    """The latest jobs with their figures as of now, latest first."""
    return [live(table, job) for job in list_jobs(table, JOBS)]
