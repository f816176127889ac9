"""The deployed stack: what its functions emit is what its alarms and its dashboard look at."""

import json
import time
from typing import Any

from local.endpoint import post
from local.run import Local, check, drain, read_dead_letters, send
from local.workload import Workload
from timpush.metrics import ENDPOINT, NAMESPACE, WORKER

PATIENCE_SECONDS = 30.0


def emitted(local: Local, log_group: str) -> dict[tuple[str, str], set[str]]:
    """Namespace and service -> the names of the metrics in a log group's lines."""
    found: dict[tuple[str, str], set[str]] = {}
    reply = local.client("logs").filter_log_events(logGroupName=log_group, limit=10_000)
    for event in reply["events"]:
        for line in event["message"].splitlines():
            if '"_aws"' in line:
                blob = json.loads(line[line.index("{") :])
                (described,) = blob["_aws"]["CloudWatchMetrics"]
                names = {one["Name"] for one in described["Metrics"]}
                found.setdefault((described["Namespace"], blob["service"]), set()).update(names)
    return found


def wait_for(local: Local, log_group: str) -> dict[tuple[str, str], set[str]]:
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := emitted(local, log_group)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def services(local: Local) -> dict[str, set[str]]:
    """Service -> the application's metrics that the deployed dashboard shows."""
    client = local.client("cloudwatch")
    text = client.get_dashboard(DashboardName=local.outputs["DashboardName"])["DashboardBody"]
    assert "${" not in text
    found: dict[str, set[str]] = {}
    rows: list[Any] = [
        row
        for widget in json.loads(text)["widgets"]
        for row in widget["properties"].get("metrics", [])
    ]
    for row in rows:
        if row[0] == NAMESPACE:
            found.setdefault(row[3], set()).add(row[1])
    return found


def test_the_dashboard_shows_the_series_that_the_functions_emit(local: Local) -> None:
    # Given a message and a request that were settled
    work = Workload()
    work.send({"watched": ["gold"]})
    local.timpush.tags.update({account: set(tags) for account, tags in work.tags.items()})
    sqs = local.client("sqs")
    read_dead_letters(sqs, local.outputs["DeadLetterQueueUrl"])  # what other tests left there
    send(sqs, local.outputs["QueueUrl"], work.bodies)
    assert drain(sqs, local, work, print)
    assert check(local, work, read_dead_letters(sqs, local.outputs["DeadLetterQueueUrl"])) == []
    post(local.endpoint_url, local.outputs["ApiId"], work.bodies[0])
    # When the lines of the functions are read
    ((worker, worker_names),) = wait_for(local, local.outputs["WorkerLogGroupName"]).items()
    ((endpoint, endpoint_names),) = wait_for(local, local.outputs["EndpointLogGroupName"]).items()
    # Then each has its list under its own service, and the dashboard shows these series
    assert worker_names == set(WORKER)
    assert endpoint_names == set(ENDPOINT)
    assert (worker[0], endpoint[0]) == (NAMESPACE, NAMESPACE)
    assert set(services(local)) == {worker[1], endpoint[1]}


def test_the_alarms_are_deployed_with_numbers_for_thresholds(local: Local) -> None:
    alarms = local.client("cloudwatch").describe_alarms()["MetricAlarms"]
    thresholds = {one["MetricName"]: one["Threshold"] for one in alarms}
    assert thresholds["ApproximateAgeOfOldestMessage"] == 3_600
    assert len(alarms) > 10
