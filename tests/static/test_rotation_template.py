"""Rotation: who may read which secret, and the numbers that keep a UserSig alive."""

import json

import pytest

from template.deployment import Deployment
from template.reading import allowed, of_type, properties
from template.translate import Template
from timpush.settings import (
    SPARE_SECONDS,
    USERSIG_LOW_SECONDS,
    read_rotation_settings,
    schedule_seconds,
)

KEY_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:key-AbC123"
OWN_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:own-AbC123"
KMS_ARN = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000000"
KEY, OWN = {"Ref": "SigningKeySecretArn"}, {"Ref": "SecretArn"}
MADE, KMS = {"Ref": "UserSigSecret"}, {"Ref": "SecretKmsKeyArn"}
HOUR = 3_600
ROTATION = {
    "RotateUserSig",
    "RotateUserSigRole",
    "RotateUserSigLogGroup",
    "RotateUserSigPermission",
}


READ = {"secretsmanager:GetSecretValue"}
ROTATE = READ | {
    "secretsmanager:DescribeSecret",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
}
READERS = ("RemoveTagsWorkerRole", "RemoveTagsEndpointRole")


class TestWhoMayReadWhat:
    def test_only_the_rotation_reads_the_key(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=KEY_ARN)
        assert deployment.may(KEY) == {"RotateUserSigRole": READ}

    def test_only_the_rotation_writes_the_usersig(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=KEY_ARN)
        assert deployment.may(MADE) == {
            "RotateUserSigRole": ROTATE,
            **dict.fromkeys(READERS, READ),
        }

    def test_without_a_key_nothing_writes_the_usersig(self, translated: Template) -> None:
        deployment = Deployment(translated)
        assert deployment.may(MADE) == dict.fromkeys(READERS, READ)
        assert deployment.may(KEY) == {}

    def test_with_a_secret_of_your_own_that_alone_is_read(self, translated: Template) -> None:
        deployment = Deployment(translated, SecretArn=OWN_ARN)
        assert deployment.may(OWN) == dict.fromkeys(READERS, READ)
        assert deployment.may(MADE) == deployment.may(KEY) == {}

    def test_only_the_rotation_decrypts_the_key(self, translated: Template) -> None:
        parameters = {"SigningKeySecretArn": KEY_ARN, "SecretKmsKeyArn": KMS_ARN}
        deployment = Deployment(translated, **parameters)
        assert deployment.may(KMS) == {"RotateUserSigRole": {"kms:Decrypt"}}

    def test_who_reads_your_own_secret_decrypts_it(self, translated: Template) -> None:
        deployment = Deployment(translated, SecretArn=OWN_ARN, SecretKmsKeyArn=KMS_ARN)
        assert deployment.may(KMS) == {role: {"kms:Decrypt"} for role in READERS}

    def test_the_key_is_in_no_other_place(self, translated: Template) -> None:
        """Only the role above and the function's environment name it, and there only its ARN."""
        named = {
            name
            for name, one in translated["Resources"].items()
            if json.dumps(KEY) in json.dumps(one)
        }
        assert named == {"RotateUserSigRole", "RotateUserSig"}
        assert "SigningKeySecretArn" not in json.dumps(translated["Outputs"])

    def test_each_statement_names_one_place(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=KEY_ARN, SecretKmsKeyArn=KMS_ARN)
        rights = {
            (tuple(actions), json.dumps(resource))
            for role, actions, resource in deployment.rights()
            if role == "RotateUserSigRole"
        }
        assert {resource for _, resource in rights} == {
            json.dumps(KEY),
            json.dumps(KMS),
            json.dumps(MADE),
            json.dumps({"Fn::GetAtt": ["RotateUserSigLogGroup", "Arn"]}),
            json.dumps("*"),  # of X-Ray alone, see test_rights
        }


class TestWhatIsCreated:
    def test_nothing_without_a_key(self, translated: Template) -> None:
        resources = Deployment(translated).resources()
        assert not resources & (ROTATION | {"UserSigRotation"})
        assert "UserSigSecret" in resources

    def test_a_schedule_with_a_key(self, translated: Template) -> None:
        resources = Deployment(translated, SigningKeySecretArn=KEY_ARN).resources()
        assert resources >= ROTATION | {"UserSigRotation", "UserSigSecret"}

    def test_no_schedule_when_it_is_left_empty(self, translated: Template) -> None:
        parameters = {"SigningKeySecretArn": KEY_ARN, "RotationSchedule": ""}
        resources = Deployment(translated, **parameters).resources()
        assert resources >= ROTATION
        assert "UserSigRotation" not in resources

    def test_the_keys_secret_is_never_created(self, translated: Template) -> None:
        assert list(of_type(translated, "AWS::SecretsManager::Secret")) == ["UserSigSecret"]


class TestRules:
    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"SecretArn": OWN_ARN},
            {"SecretArn": OWN_ARN, "SecretKmsKeyArn": KMS_ARN},
            {"SigningKeySecretArn": KEY_ARN},
            {"SigningKeySecretArn": KEY_ARN, "SecretKmsKeyArn": KMS_ARN},
        ],
    )
    def test_take_what_fits_together(
        self, translated: Template, parameters: dict[str, str]
    ) -> None:
        assert Deployment(translated, **parameters).refused() == []

    def test_refuse_a_key_together_with_a_usersig_of_your_own(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=KEY_ARN, SecretArn=OWN_ARN)
        assert len(deployment.refused()) == 1
        assert deployment.may(KEY) == {}

    def test_refuse_a_kms_key_without_a_secret_of_yours(self, translated: Template) -> None:
        assert len(Deployment(translated, SecretKmsKeyArn=KMS_ARN).refused()) == 1


class TestSchedule:
    def test_waits_for_the_permission_and_the_role_with_its_policy(
        self, translated: Template
    ) -> None:
        assert set(translated["Resources"]["UserSigRotation"]["DependsOn"]) == {
            "RotateUserSigPermission",
            "RotateUserSigRole",
        }

    def test_rotates_at_once_and_then_within_an_hour_of_its_time(
        self, translated: Template
    ) -> None:
        assert properties(translated, "UserSigRotation") == {
            "SecretId": MADE,
            "RotationLambdaARN": {"Fn::GetAtt": ["RotateUserSig", "Arn"]},
            "RotateImmediatelyOnUpdate": True,
            "RotationRules": {
                "ScheduleExpression": {"Ref": "RotationSchedule"},
                "Duration": "1h",
            },
        }

    def test_only_secrets_manager_for_this_secret_may_invoke_the_function(
        self, translated: Template
    ) -> None:
        assert properties(translated, "RotateUserSigPermission") == {
            "FunctionName": {"Ref": "RotateUserSig"},
            "Action": "lambda:InvokeFunction",
            "Principal": "secretsmanager.amazonaws.com",
            "SourceAccount": {"Ref": "AWS::AccountId"},
            "SourceArn": MADE,
        }

    def test_the_function_gets_the_variables_that_its_code_reads(
        self, translated: Template
    ) -> None:
        variables = properties(translated, "RotateUserSig")["Environment"]["Variables"]
        assert variables["SIGNING_KEY_SECRET_ID"] == KEY
        assert variables["ROTATION_SCHEDULE"] == {"Ref": "RotationSchedule"}
        assert variables["USERSIG_VALIDITY_SECONDS"] == {
            "Fn::FindInMap": ["UserSigValidity", {"Ref": "UserSigValidityDays"}, "Seconds"]
        }


class TestNumbers:
    def test_each_validity_is_its_days_in_seconds(self, translated: Template) -> None:
        rows = {days: row["Seconds"] for days, row in validities(translated).items()}
        assert rows == {
            str(days): str(days * 86_400) for days in allowed(translated, "UserSigValidityDays")
        }

    def test_the_function_takes_every_choice_of_schedule_and_validity(
        self, translated: Template
    ) -> None:
        refused = set()
        for schedule in allowed(translated, "RotationSchedule"):
            for days, row in validities(translated).items():
                parameters = {"RotationSchedule": schedule, "UserSigValidityDays": days}
                if Deployment(translated, **parameters).refused():
                    refused.add((schedule, days))
                    continue
                read_rotation_settings(
                    {
                        "TIMPUSH_REGION": "singapore",
                        "SIGNING_KEY_SECRET_ID": KEY_ARN,
                        "USERSIG_VALIDITY_SECONDS": row["Seconds"],
                        "ROTATION_SCHEDULE": schedule,
                    }
                )
        assert refused == {("rate(1 day)", "1")}

    def test_no_validity_is_longer_than_tencent_advises(self, translated: Template) -> None:
        parameter = translated["Parameters"]["UserSigValidityDays"]
        assert (parameter["Default"], max(parameter["AllowedValues"])) == (1, 7)

    def test_a_schedule_is_none_or_at_least_four_hours(self, translated: Template) -> None:
        none, *rates = allowed(translated, "RotationSchedule")
        assert none == ""
        assert all((schedule_seconds(rate) or 0) >= 4 * HOUR for rate in rates)

    def test_a_usersig_that_is_renewed_in_time_never_raises_the_alarm(
        self, translated: Template, monitoring: Template
    ) -> None:
        rules = properties(translated, "UserSigRotation")["RotationRules"]
        window = int(rules["Duration"].removesuffix("h")) * HOUR
        least = SPARE_SECONDS - window
        threshold = properties(monitoring, "UserSigExpiryAlarm")["Threshold"]
        assert HOUR < threshold < least

    def test_the_log_warns_when_the_alarm_is_raised(self, monitoring: Template) -> None:
        assert properties(monitoring, "UserSigExpiryAlarm")["Threshold"] == USERSIG_LOW_SECONDS


class TestAlarms:
    def test_the_least_life_of_this_stacks_usersig_is_watched(
        self, translated: Template, monitoring: Template
    ) -> None:
        alarm = properties(monitoring, "UserSigExpiryAlarm")
        namespace = {
            one["Properties"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
            for one in of_type(translated, "AWS::Lambda::Function").values()
        }
        assert namespace == {alarm["Namespace"]}
        assert (alarm["MetricName"], alarm["Statistic"]) == ("UserSigSecondsLeft", "Minimum")
        assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "ServiceName"}}]
        assert alarm["ComparisonOperator"] == "LessThanThreshold"

    def test_errors_of_the_rotation_are_watched(self, monitoring: Template) -> None:
        alarm = properties(monitoring, "RotateUserSigErrorsAlarm")
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
        assert alarm["Dimensions"] == [
            {"Name": "FunctionName", "Value": {"Ref": "RotationFunctionName"}}
        ]
        assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 1)
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_an_output_shows_the_result_of_the_first_rotation(translated: Template) -> None:
    output = translated["Outputs"]["RotationResultCommand"]
    assert output["Condition"] == "HasSigningKey"
    assert output["Value"]["Fn::Sub"].startswith(
        "aws secretsmanager describe-secret --region ${AWS::Region} --secret-id ${UserSigSecret}"
    )


def validities(template: Template) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = template["Mappings"]["UserSigValidity"]
    return rows
