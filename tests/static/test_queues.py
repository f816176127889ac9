"""Queues and what feeds the worker from them."""

import json
from itertools import product
from typing import Any

import pytest

from reliability.outage import MAX_RECEIVE_COUNT
from support.environment import worker_environment
from template.deployment import Deployment
from template.reading import allowed, of_type, properties
from template.translate import Template
from timpush.settings import APP_CALLS_PER_SECOND, read_settings

DAY = 86_400
MIB = 1_048_576
QUEUES = ("RemoveTagsQueue", "RemoveTagsDeadLetterQueue")


@pytest.fixture
def mapping(translated: Template) -> dict[str, Any]:
    return properties(translated, "RemoveTagsWorkerQueue")


def test_there_are_two_queues(translated: Template) -> None:
    assert set(of_type(translated, "AWS::SQS::Queue")) == set(QUEUES)


def test_visibility_outlasts_six_attempts_and_the_longest_window(translated: Template) -> None:
    timeout = properties(translated, "RemoveTagsWorker")["Timeout"]
    window = translated["Parameters"]["BatchingWindow"]["MaxValue"]
    assert timeout == 120
    assert properties(translated, "RemoveTagsQueue")["VisibilityTimeout"] == 6 * timeout + window


def test_messages_live_longer_on_the_dead_letter_queue(translated: Template) -> None:
    queue, dead_letter_queue = (
        properties(translated, name)["MessageRetentionPeriod"] for name in QUEUES
    )
    assert queue == 4 * DAY
    assert dead_letter_queue == 14 * DAY


def test_messages_that_crash_the_worker_are_given_up(translated: Template) -> None:
    assert properties(translated, "RemoveTagsQueue")["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["RemoveTagsDeadLetterQueue", "Arn"]},
        "maxReceiveCount": {"Ref": "MaxReceiveCount"},
    }
    parameter = translated["Parameters"]["MaxReceiveCount"]
    assert parameter["MinValue"] >= 5
    assert parameter["Default"] == MAX_RECEIVE_COUNT, "what make outage shows is for this number"


def test_a_message_that_crashes_the_worker_is_moved_before_it_is_deleted(
    translated: Template,
) -> None:
    queue = properties(translated, "RemoveTagsQueue")
    most = translated["Parameters"]["MaxReceiveCount"]["MaxValue"]
    assert most * queue["VisibilityTimeout"] < queue["MessageRetentionPeriod"]


@pytest.mark.parametrize("name", QUEUES)
def test_queue_is_encrypted_and_takes_the_largest_message(translated: Template, name: str) -> None:
    queue = Deployment(translated).properties(name)
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MaximumMessageSize"] == MIB


@pytest.mark.parametrize("name", QUEUES)
def test_queue_refuses_everybody_without_tls_and_grants_nothing(
    translated: Template, name: str
) -> None:
    policies = Deployment(translated).of_type("AWS::SQS::QueuePolicy").values()
    documents = [one["PolicyDocument"] for one in policies if {"Ref": name} in one["Queues"]]
    assert [document["Statement"] for document in documents] == [
        [
            {
                "Sid": "OnlyOverTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:*",
                "Resource": {"Fn::GetAtt": [name, "Arn"]},
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
    ]


def test_worker_takes_batches_and_reports_each_message(mapping: dict[str, Any]) -> None:
    concurrency = {
        "Fn::FindInMap": [
            "Workers",
            {"Ref": "WorkerConcurrency"},
            "MaximumConcurrency",
        ]
    }
    assert mapping == {
        "EventSourceArn": {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]},
        "FunctionName": {"Ref": "RemoveTagsWorker"},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": {"Ref": "BatchSize"},
        "MaximumBatchingWindowInSeconds": {"Ref": "BatchingWindow"},
        "ScalingConfig": {"MaximumConcurrency": concurrency},
    }


def test_limits_of_the_mapping_are_those_of_lambda(translated: Template) -> None:
    size, window = (translated["Parameters"][name] for name in ("BatchSize", "BatchingWindow"))
    assert (size["Default"], size["MinValue"], size["MaxValue"]) == (1_000, 1, 5_000)
    # A batch of more than 10 messages needs a window of a second or more.
    assert (window["Default"], window["MinValue"], window["MaxValue"]) == (1, 1, 60)


def test_concurrency_is_one_that_lambda_takes(translated: Template) -> None:
    assert allowed(translated, "WorkerConcurrency") == [2, 3, 4, 5, 10]
    assert translated["Parameters"]["WorkerConcurrency"]["Default"] == 3


def test_rows_of_concurrency_say_their_own_number(translated: Template) -> None:
    rows = translated["Mappings"]["Workers"]
    expected = {
        str(value): {"MaximumConcurrency": value}
        for value in allowed(translated, "WorkerConcurrency")
    }
    assert json.dumps(rows) == json.dumps(expected)  # numbers, not text


def test_no_choice_of_budgets_exceeds_the_apps_and_each_worker_has_a_call(
    translated: Template,
) -> None:
    names = ("AppCallsPerSecond", "ApiCallsPerSecond", "WorkerConcurrency")
    tried = 0
    for app, api, workers in product(*(allowed(translated, name) for name in names)):
        choice = dict(zip(names, map(str, (app, api, workers)), strict=True))
        variables = {"APP_CALLS_PER_SECOND": app, "API_CALLS_PER_SECOND": api}
        environment = worker_environment(
            TIMPUSH_CALLS_PER_SECOND=None, WORKER_CONCURRENCY=workers, **variables
        )
        if not Deployment(translated, **choice).refused():
            tried += 1
            share = read_settings(environment).share
            # The stage's rate and burst are equal; 1 is the rotation's call.
            assert share * workers + 2 * api + 1 <= app <= APP_CALLS_PER_SECOND
    assert tried > 100


@pytest.mark.parametrize(("api", "app"), [(5, 20), (10, 30), (20, 50)])
def test_a_budget_that_leaves_too_little_to_the_workers_is_refused(
    translated: Template, api: int, app: int
) -> None:
    choice = {"ApiCallsPerSecond": str(api), "AppCallsPerSecond": str(app)}
    assert len(Deployment(translated, **choice).refused()) == 1
