"""Alarms: what they watch is there, each says what to do first, and each can notify someone."""

import re
from typing import Any
from unittest.mock import ANY

import pytest

from documents.syntax import fault
from jobs.settle import MAX_WAIT, RETENTION_SECONDS
from support.environment import worker_environment
from template.deployment import Deployment
from template.reading import of_type, properties
from template.translate import ROOT, Template
from template.watching import ENDPOINT_SERVICE, WORKER_SERVICE, alarms, own, watched
from timpush.metrics import ENDPOINT, JOBS, PROVEN_BY_CALLS, ROTATION, WORKER
from timpush.settings import read_settings

RUNBOOK = (ROOT / "docs/operations.md").read_text()
PARTS = ("Meaning", "Look", "Fix", "Confirm")
IN_FLIGHT_LIMIT = 120_000
AWS_METRICS = {
    "AWS/SQS": {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateAgeOfOldestMessage",
    },
    "AWS/Lambda": {"Errors", "Throttles", "Duration", "ConcurrentExecutions", "Invocations"},
    "AWS/States": {
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsAborted",
    },
    "AWS/ApiGateway": {"Count", "4XXError", "5XXError", "Latency"},
}
"""Metrics of AWS itself, by the documentation of each service (2026-11)."""
EXPECTED = {
    "DeadLetterQueueAlarm",
    "QueueAgeAlarm",
    "InFlightAlarm",
    "HandedBackAlarm",
    "WorkerErrorsAlarm",
    "WorkerThrottlesAlarm",
    "EndpointErrorsAlarm",
    "EndpointThrottlesAlarm",
    "CredentialErrorsAlarm",
    "EndpointCredentialErrorsAlarm",
    "ConfigurationErrorsAlarm",
    "EndpointConfigurationErrorsAlarm",
    "UserSigExpiryAlarm",
    "EndpointUserSigExpiryAlarm",
    "RotateUserSigErrorsAlarm",
    "BudgetSaturatedAlarm",
    "RotationMissingAlarm",
    "TimPushDownAlarm",
    "OddRepliesAlarm",
    "Endpoint5xxAlarm",
    "JobFailedAlarm",
    "JobStalledAlarm",
    "StartJobErrorsAlarm",
}
ACTIONS = [
    {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]},
    {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]},
]


def sections() -> dict[str, str]:
    """The runbook's sections by alarm: a heading may name several."""
    found: dict[str, str] = {}
    for heading, text in re.findall(r"^### (.+)\n((?:(?!^##).*\n?)*)", RUNBOOK, re.MULTILINE):
        found.update(dict.fromkeys(re.findall(r"`(\w+Alarm)`", heading), text))
    return found


def test_these_alarms_are_there(monitoring: Template) -> None:
    assert set(alarms(monitoring)) == EXPECTED


def test_each_metric_that_is_watched_is_emitted(monitoring: Template) -> None:
    found = own(monitoring)
    assert set(found) == {WORKER_SERVICE, ENDPOINT_SERVICE}
    assert found[WORKER_SERVICE] <= set(WORKER) | set(ROTATION) | set(JOBS)
    assert found[ENDPOINT_SERVICE] <= set(ENDPOINT)


def test_each_metric_that_is_emitted_is_watched(monitoring: Template) -> None:
    found = own(monitoring)
    assert found[WORKER_SERVICE] >= set(WORKER) | set(ROTATION) | set(JOBS)
    assert found[ENDPOINT_SERVICE] >= set(ENDPOINT)


def test_metrics_of_aws_are_those_that_aws_has(monitoring: Template) -> None:
    others = [one for one in watched(monitoring) if one.namespace in AWS_METRICS]
    assert {one.namespace for one in others} == set(AWS_METRICS)
    assert [one for one in others if one.name not in AWS_METRICS[one.namespace]] == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
class TestEachAlarm:
    def test_says_what_it_means_and_the_first_step(self, monitoring: Template, name: str) -> None:
        text = properties(monitoring, name)["AlarmDescription"]["Fn::Sub"]
        meaning, first = text.split(" First: ")
        assert "${ServiceName}" in meaning
        assert len(first) > 30
        assert first.endswith(f" See {name} in docs/operations.md.")
        assert len(text) <= 1_024 - 128  # CloudWatch's limit, with the stack's name in it

    def test_the_command_that_it_names_is_right(self, monitoring: Template, name: str) -> None:
        text = properties(monitoring, name)["AlarmDescription"]["Fn::Sub"]
        for command in re.findall(r'"(\S*ops [^"]+)"', text):
            assert fault(command.replace("${ServiceName}", "NAME")) == ""
        assert ("ops " in text) == ('"./ops ' in text)

    def test_log_lines_that_it_names_are_written(self, monitoring: Template, name: str) -> None:
        text = properties(monitoring, name)["AlarmDescription"]["Fn::Sub"]
        lines = re.findall(r"log line '([^']+)'", text)
        function = "remove_tags_api" if name.startswith("Endpoint") else "remove_tags_worker"
        code = "".join(p.read_text() for p in (ROOT / "functions" / function).glob("*.py"))
        assert [line for line in lines if f'"{line}"' not in code] == []
        assert bool(lines) == ("log line" in text)

    def test_reaches_the_address_and_the_topic(self, monitoring: Template, name: str) -> None:
        alarm = properties(monitoring, name)
        assert alarm["AlarmActions"] == alarm["OKActions"] == ACTIONS

    def test_has_a_section_in_the_runbook(self, name: str) -> None:
        section = sections()[name]
        for part in PARTS:
            (text,) = re.findall(rf"^- \*\*{part}\.\*\* (.+)", section, re.MULTILINE)
            assert len(text) > 20, part

    def test_is_there_only_with_what_it_watches(self, monitoring: Template, name: str) -> None:
        expected = {
            "Endpoint": "HasApi",
            "RotateUserSig": "HasSigningKey",
            "RotationMissing": "HasRotationSchedule",
            "Budget": "HasBudgetAlarm",
        }
        found = [expected[start] for start in expected if name.startswith(start)]
        condition = monitoring["Resources"][name].get("Condition")
        assert condition == (found[0] if found else None)


def test_the_runbook_names_no_alarm_that_is_not_there() -> None:
    assert set(re.findall(r"\w+Alarm\b", RUNBOOK)) == EXPECTED


def test_every_function_has_its_errors_watched(translated: Template, monitoring: Template) -> None:
    """But for the steps of jobs: the state machine tries them again, and a job that fails tells."""
    given = properties(translated, "Monitoring")["Parameters"]
    lambdas = {
        name: one
        for name, one in of_type(translated, "AWS::Lambda::Function").items()
        if not one["Properties"]["Handler"].startswith("jobs.")
    }
    functions = {
        f"${{{parameter}}}"
        for name in lambdas
        for parameter, value in given.items()
        if value in ({"Ref": name}, {"Fn::If": [ANY, {"Ref": name}, ""]})
    }
    assert len(functions) == len(lambdas)
    seen = {
        one.dimensions["FunctionName"]
        for one in watched(monitoring)
        if one.where in EXPECTED and (one.namespace, one.name) == ("AWS/Lambda", "Errors")
    }
    assert seen == functions | {"${StartJobFunctionName}"}


def test_jobs_are_watched_by_their_execution_and_their_start(
    translated: Template, jobs: Template, monitoring: Template
) -> None:
    """Errors of a step fail the execution, which waits for it."""
    given = properties(translated, "Monitoring")["Parameters"]
    for name, output, resource in (
        ("JobsStateMachineArn", "StateMachineArn", "JobsStateMachine"),
        ("StartJobFunctionName", "StartJobFunctionName", "StartJob"),
    ):
        assert given[name] == {"Fn::GetAtt": ["Jobs", f"Outputs.{output}"]}
        assert jobs["Outputs"][output]["Value"] == {"Ref": resource}
    failed = properties(monitoring, "JobFailedAlarm")
    assert failed["Dimensions"] == [
        {"Name": "StateMachineArn", "Value": {"Ref": "JobsStateMachineArn"}}
    ]
    definition = jobs["Resources"]["JobsStateMachine"]["Properties"]["Definition"]
    assert "TimeoutSeconds" not in definition  # else executions that time out would be missed


def test_it_gets_each_of_its_parameters(translated: Template, monitoring: Template) -> None:
    assert set(properties(translated, "Monitoring")["Parameters"]) == set(monitoring["Parameters"])


@pytest.mark.parametrize(
    ("condition", "of_root"), [("HasApi", "HasApi"), ("HasSigningKey", "HasSigningKey")]
)
def test_its_conditions_are_those_of_what_it_watches(
    translated: Template, monitoring: Template, condition: str, of_root: str
) -> None:
    ((_, parameter),) = monitoring["Conditions"][condition]["Fn::Not"][0]["Fn::Equals"][0].items()
    given = properties(translated, "Monitoring")["Parameters"][parameter]
    assert (given["Fn::If"][0], given["Fn::If"][2]) == (of_root, "")


class TestNumbers:
    def test_dead_letters_are_counted_as_they_lie_there(self, monitoring: Template) -> None:
        """What SQS moves by itself is not among those sent."""
        alarm = properties(monitoring, "DeadLetterQueueAlarm")
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert (alarm["Threshold"], alarm["Statistic"]) == (1, "Maximum")
        assert alarm["Dimensions"][0]["Value"] == {"Ref": "DeadLetterQueueName"}

    def test_age_leaves_days_to_act(self, translated: Template, monitoring: Template) -> None:
        threshold = properties(monitoring, "QueueAgeAlarm")["Threshold"]
        retention = properties(translated, "RemoveTagsQueue")["MessageRetentionPeriod"]
        assert threshold == 3_600
        assert retention - threshold > 3 * 86_400

    def test_in_flight_is_seen_before_the_limit(self, monitoring: Template) -> None:
        assert properties(monitoring, "InFlightAlarm")["Threshold"] == IN_FLIGHT_LIMIT * 5 / 6

    @pytest.mark.parametrize(("app", "api"), [(100, 10), (100, 0), (60, 20)])
    def test_saturated_is_80_percent_of_the_workers_calls(
        self, monitoring: Template, app: int, api: int
    ) -> None:
        alarm = properties(monitoring, "BudgetSaturatedAlarm")
        percent, calls = alarm["Metrics"]
        assert (alarm["Threshold"], calls["ReturnData"]) == (80, False)
        assert calls["MetricStat"]["Stat"] == "Sum"
        settings = read_settings(
            worker_environment(
                TIMPUSH_CALLS_PER_SECOND=None, APP_CALLS_PER_SECOND=app, API_CALLS_PER_SECOND=api
            )
        )
        period = calls["MetricStat"]["Period"]
        expression = percent["Expression"]["Fn::Sub"].replace("PERIOD(calls)", str(period))
        expression = expression.replace("${AppCallsPerSecond}", str(app))
        expression = expression.replace("${ApiCallsPerSecond}", str(api))
        sent = settings.calls_per_second * period * 0.8
        assert evaluated(expression.replace("calls", str(sent))) == pytest.approx(80)

    def test_hand_backs_are_seen_however_long_a_message_may_rest(
        self, translated: Template, monitoring: Template
    ) -> None:
        alarm = properties(monitoring, "HandedBackAlarm")
        assert alarm["Period"] >= translated["Parameters"]["RetryCapSeconds"]["MaxValue"]
        assert alarm["EvaluationPeriods"] == 2

    @pytest.mark.parametrize("name", ["DeadLetterQueueAlarm", "QueueAgeAlarm", "InFlightAlarm"])
    def test_a_queue_without_data_ends_the_alarm(self, monitoring: Template, name: str) -> None:
        """SQS reports while there are messages; ignoring the rest could leave it raised."""
        assert properties(monitoring, name)["TreatMissingData"] == "notBreaching"

    @pytest.mark.parametrize(
        "name", sorted(one for one in EXPECTED if re.search("(ial|ion)E", one))
    )
    def test_what_only_a_call_can_prove_keeps_its_alarm(
        self, monitoring: Template, name: str
    ) -> None:
        alarm = properties(monitoring, name)
        assert alarm["MetricName"] in PROVEN_BY_CALLS
        assert alarm["TreatMissingData"] == "ignore"

    @pytest.mark.parametrize("name", sorted(one for one in EXPECTED if "Expiry" in one))
    def test_expiry_is_seen_by_each_function_that_uses_the_usersig(
        self, monitoring: Template, name: str
    ) -> None:
        alarm = properties(monitoring, name)
        assert alarm["Threshold"] == properties(monitoring, "UserSigExpiryAlarm")["Threshold"]
        assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Minimum", "ignore")

    def test_timpush_is_down_when_no_call_succeeds_and_the_alarm_clears_by_itself(
        self, translated: Template, monitoring: Template
    ) -> None:
        alarm = properties(monitoring, "TimPushDownAlarm")
        assert (alarm["Statistic"], alarm["Threshold"]) == ("Minimum", 1)
        assert (alarm["DatapointsToAlarm"], alarm["TreatMissingData"]) == (1, "notBreaching")
        cap = translated["Parameters"]["RetryCapSeconds"]["Default"]
        assert alarm["Period"] * alarm["EvaluationPeriods"] >= cap

    def test_a_job_is_stalled_after_an_hour_of_looks_without_progress(
        self, monitoring: Template
    ) -> None:
        alarm = properties(monitoring, "JobStalledAlarm")
        assert (alarm["Threshold"], alarm["Statistic"]) == (3_600, "Maximum")
        assert alarm["Period"] > 2 * MAX_WAIT
        assert 3_600 + alarm["Period"] < RETENTION_SECONDS


class TestTopic:
    def test_is_there_only_for_an_address(self, monitoring: Template) -> None:
        for name in ("AlarmTopic", "AlarmTopicPolicy", "AlarmSubscription", "AlarmTopicKey"):
            assert name not in Deployment(monitoring).resources()
            assert name in Deployment(monitoring, AlarmEmail="a@b.example").resources()

    def test_is_encrypted_with_a_key_that_cloudwatch_may_use(self, monitoring: Template) -> None:
        deployment = Deployment(monitoring, AlarmEmail="a@b.example")
        topic, key = map(deployment.properties, ("AlarmTopic", "AlarmTopicKey"))
        assert topic["KmsMasterKeyId"] == {"Ref": "AlarmTopicKey"}
        assert key["EnableKeyRotation"] is True
        alarms_may = statement(key["KeyPolicy"], "AlarmsOfThisAccount")
        assert alarms_may["Principal"] == {"Service": SOURCES}
        assert alarms_may["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
        assert alarms_may["Condition"] == OWN_ACCOUNT

    def test_takes_alarms_of_this_account_alone_and_over_tls(self, monitoring: Template) -> None:
        policy = properties(monitoring, "AlarmTopicPolicy")["PolicyDocument"]
        allowed = statement(policy, "AlarmsOfThisAccount")
        assert (allowed["Effect"], allowed["Action"]) == ("Allow", "sns:Publish")
        assert allowed["Principal"] == {"Service": SOURCES}
        assert allowed["Condition"] == OWN_ACCOUNT
        denied = statement(policy, "OnlyOverTls")
        assert denied["Effect"] == "Deny"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert {"Allow", "Deny"} == {one["Effect"] for one in policy["Statement"]}


def evaluated(expression: str) -> float:
    """The value of an expression of numbers, + - * / and brackets."""
    assert re.fullmatch(r"[\d.+*/() -]+", expression), expression
    return float(eval(expression))  # noqa: S307


SOURCES = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def statement(policy: dict[str, Any], sid: str) -> dict[str, Any]:
    (found,) = (one for one in policy["Statement"] if one["Sid"] == sid)
    assert isinstance(found, dict)
    return found
