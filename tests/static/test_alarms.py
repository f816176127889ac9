"""Alarms: what they watch is there, each says what to do first, and each can reach somebody."""

import re
from typing import Any

import pytest

from template.reading import of_type, properties
from template.translate import ROOT, Template
from template.watching import ENDPOINT_SERVICE, WORKER_SERVICE, alarms, own, watched
from timpush.metrics import ENDPOINT, PROVEN_BY_CALLS, ROTATION, WORKER

RUNBOOK = (ROOT / "docs/operations.md").read_text()
PARTS = ("Meaning", "Look", "Mend", "Confirm")
IN_FLIGHT_LIMIT = 120_000
AWS_METRICS = {
    "AWS/SQS": {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateAgeOfOldestMessage",
    },
    "AWS/Lambda": {"Errors", "Throttles", "Duration", "ConcurrentExecutions"},
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
    "Endpoint5xxAlarm",
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


def test_these_alarms_are_there(translated: Template) -> None:
    assert set(alarms(translated)) == EXPECTED


def test_each_metric_that_is_watched_is_emitted(translated: Template) -> None:
    found = own(translated)
    assert set(found) == {WORKER_SERVICE, ENDPOINT_SERVICE}
    assert found[WORKER_SERVICE] <= set(WORKER) | set(ROTATION)
    assert found[ENDPOINT_SERVICE] <= set(ENDPOINT)


def test_each_metric_that_is_emitted_is_watched(translated: Template) -> None:
    found = own(translated)
    assert found[WORKER_SERVICE] >= set(WORKER) | set(ROTATION)
    assert found[ENDPOINT_SERVICE] >= set(ENDPOINT)


def test_metrics_of_aws_are_those_that_aws_has(translated: Template) -> None:
    others = [one for one in watched(translated) if one.namespace in AWS_METRICS]
    assert {one.namespace for one in others} == set(AWS_METRICS)
    assert [one for one in others if one.name not in AWS_METRICS[one.namespace]] == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
class TestEachAlarm:
    def test_says_what_it_means_and_the_first_step(self, translated: Template, name: str) -> None:
        text = properties(translated, name)["AlarmDescription"]["Fn::Sub"]
        meaning, first = text.split(" First: ")
        assert "${AWS::StackName}" in meaning
        assert len(first) > 30
        assert first.endswith(f" See {name} in docs/operations.md.")
        assert len(text) <= 1_024 - 128  # CloudWatch's limit, with the stack's name in it

    def test_log_lines_that_it_names_are_written(self, translated: Template, name: str) -> None:
        text = properties(translated, name)["AlarmDescription"]["Fn::Sub"]
        lines = re.findall(r"log line '([^']+)'", text)
        function = "remove_tags_api" if name.startswith("Endpoint") else "remove_tags_worker"
        code = "".join(p.read_text() for p in (ROOT / "functions" / function).glob("*.py"))
        assert [line for line in lines if f'"{line}"' not in code] == []
        assert bool(lines) == ("log line" in text)

    def test_reaches_whoever_is_named(self, translated: Template, name: str) -> None:
        alarm = properties(translated, name)
        assert alarm["AlarmActions"] == alarm["OKActions"] == ACTIONS

    def test_has_a_section_in_the_runbook(self, name: str) -> None:
        section = sections()[name]
        for part in PARTS:
            (text,) = re.findall(rf"^- \*\*{part}\.\*\* (.+)", section, re.MULTILINE)
            assert len(text) > 20, part

    def test_is_there_only_with_what_it_watches(self, translated: Template, name: str) -> None:
        condition = translated["Resources"][name].get("Condition")
        endpoint = re.search("^Endpoint", name)
        rotation = re.search("^RotateUserSig", name)
        assert condition == ("HasApi" if endpoint else "HasSigningKey" if rotation else None)


def test_the_runbook_names_no_alarm_that_is_not_there() -> None:
    assert set(re.findall(r"\w+Alarm\b", RUNBOOK)) == EXPECTED


def test_every_function_has_its_errors_watched(translated: Template) -> None:
    functions = {f"${{{name}}}" for name in of_type(translated, "AWS::Lambda::Function")}
    seen = {
        one.dimensions["FunctionName"]
        for one in watched(translated)
        if one.where in EXPECTED and (one.namespace, one.name) == ("AWS/Lambda", "Errors")
    }
    assert seen == functions


class TestNumbers:
    def test_dead_letters_are_counted_as_they_lie_there(self, translated: Template) -> None:
        """What SQS moves by itself is not among those sent."""
        alarm = properties(translated, "DeadLetterQueueAlarm")
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert (alarm["Threshold"], alarm["Statistic"]) == (1, "Maximum")
        assert alarm["Dimensions"][0]["Value"] == {
            "Fn::GetAtt": ["RemoveTagsDeadLetterQueue", "QueueName"]
        }

    def test_age_leaves_days_to_act(self, translated: Template) -> None:
        threshold = properties(translated, "QueueAgeAlarm")["Threshold"]
        retention = properties(translated, "RemoveTagsQueue")["MessageRetentionPeriod"]
        assert threshold == 3_600
        assert retention - threshold > 3 * 86_400

    def test_in_flight_is_seen_before_the_limit(self, translated: Template) -> None:
        assert properties(translated, "InFlightAlarm")["Threshold"] == IN_FLIGHT_LIMIT * 5 / 6

    def test_saturated_is_80_percent_of_the_workers_calls_in_a_period(
        self, translated: Template
    ) -> None:
        alarm = properties(translated, "BudgetSaturatedAlarm")
        assert alarm["Threshold"] == {
            "Fn::FindInMap": ["CallsPerSecond", {"Ref": "ApiCallsPerSecond"}, "Saturated"]
        }
        rows = translated["Mappings"]["CallsPerSecond"].values()
        for row in rows:
            calls = int(row["Worker"]) * alarm["Period"]
            assert int(row["Saturated"]) * 100 == 80 * calls
        assert len(rows) == 5

    def test_hand_backs_are_seen_however_long_a_message_may_rest(
        self, translated: Template
    ) -> None:
        alarm = properties(translated, "HandedBackAlarm")
        assert alarm["Period"] >= translated["Parameters"]["RetryCapSeconds"]["MaxValue"]
        assert alarm["EvaluationPeriods"] == 2

    @pytest.mark.parametrize("name", ["DeadLetterQueueAlarm", "QueueAgeAlarm", "InFlightAlarm"])
    def test_a_queue_that_rests_ends_no_alarm(self, translated: Template, name: str) -> None:
        """SQS reports nothing of it, also while it holds messages."""
        assert properties(translated, name)["TreatMissingData"] == "ignore"

    @pytest.mark.parametrize(
        "name", sorted(one for one in EXPECTED if re.search("(ial|ion)E", one))
    )
    def test_what_only_a_call_can_prove_keeps_its_alarm(
        self, translated: Template, name: str
    ) -> None:
        alarm = properties(translated, name)
        assert alarm["MetricName"] in PROVEN_BY_CALLS
        assert alarm["TreatMissingData"] == "ignore"

    @pytest.mark.parametrize("name", sorted(one for one in EXPECTED if "Expiry" in one))
    def test_expiry_is_seen_by_whoever_uses_the_usersig(
        self, translated: Template, name: str
    ) -> None:
        alarm = properties(translated, name)
        assert alarm["Threshold"] == properties(translated, "UserSigExpiryAlarm")["Threshold"]
        assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Minimum", "ignore")


class TestTopic:
    def test_is_there_only_for_an_address(self, translated: Template) -> None:
        for name in ("AlarmTopic", "AlarmTopicPolicy", "AlarmTopicKey"):
            assert translated["Resources"][name]["Condition"] == "HasAlarmEmail"

    def test_is_encrypted_with_a_key_that_cloudwatch_may_use(self, translated: Template) -> None:
        topic, key = (properties(translated, name) for name in ("AlarmTopic", "AlarmTopicKey"))
        assert topic["KmsMasterKeyId"] == {"Ref": "AlarmTopicKey"}
        assert key["EnableKeyRotation"] is True
        alarms_may = statement(key["KeyPolicy"], "AlarmsOfThisAccount")
        assert alarms_may["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert alarms_may["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
        assert alarms_may["Condition"] == OWN_ACCOUNT

    def test_takes_alarms_of_this_account_alone_and_over_tls(self, translated: Template) -> None:
        policy = properties(translated, "AlarmTopicPolicy")["PolicyDocument"]
        allowed = statement(policy, "AlarmsOfThisAccount")
        assert (allowed["Effect"], allowed["Action"]) == ("Allow", "sns:Publish")
        assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert allowed["Condition"] == OWN_ACCOUNT
        denied = statement(policy, "OnlyOverTls")
        assert denied["Effect"] == "Deny"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert {"Allow", "Deny"} == {one["Effect"] for one in policy["Statement"]}


OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def statement(policy: dict[str, Any], sid: str) -> dict[str, Any]:
    (found,) = (one for one in policy["Statement"] if one["Sid"] == sid)
    assert isinstance(found, dict)
    return found
