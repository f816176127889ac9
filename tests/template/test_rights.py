"""Who may do what: each right is listed here, so a new one is a change of this file."""

import json

import pytest

from template.reading import as_list, of_type, properties, statements
from template.translate import Template
from timpush.credentials import parse_secret
from timpush.errors import SecretError

TRACES = (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")
SECRET = {"Fn::If": ["CreateSecret", {"Ref": "UserSigSecret"}, {"Ref": "SecretArn"}]}


def test_every_function_names_a_role_of_its_own(translated: Template) -> None:
    roles = of_type(translated, "AWS::IAM::Role")
    functions = of_type(translated, "AWS::Lambda::Function").values()
    named = [one["Properties"]["Role"]["Fn::GetAtt"] for one in functions]
    assert sorted(named) == sorted([name, "Arn"] for name in roles)


def test_worker_may_do_exactly_this(translated: Template) -> None:
    found = {one["Sid"]: one for one in statements(translated["Resources"]["RemoveTagsWorkerRole"])}
    rights = {sid: (as_list(one["Action"]), one["Resource"]) for sid, one in found.items()}
    assert rights == {
        "ReadSecret": (["secretsmanager:GetSecretValue"], SECRET),
        "DecryptSecret": (["kms:Decrypt"], {"Ref": "SecretKmsKeyArn"}),
        "ConsumeQueue": (
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            ],
            {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]},
        ),
        "ParkMessages": (
            ["sqs:SendMessage"],
            {"Fn::GetAtt": ["RemoveTagsDeadLetterQueue", "Arn"]},
        ),
        "WriteLogs": (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            {"Fn::GetAtt": ["RemoveTagsWorkerLogGroup", "Arn"]},
        ),
        "SendTraces": TRACES,
    }
    assert {one["Effect"] for one in found.values()} == {"Allow"}


def test_worker_decrypts_only_with_a_key_that_is_named_and_for_secrets_manager(
    translated: Template,
) -> None:
    (policy,) = properties(translated, "RemoveTagsWorkerRole")["Policies"]
    ((condition, statement, nothing),) = (
        one["Fn::If"] for one in policy["PolicyDocument"]["Statement"] if "Fn::If" in one
    )
    assert condition == "HasSecretKmsKey"
    assert nothing == {"Ref": "AWS::NoValue"}
    assert statement["Condition"] == {
        "StringEquals": {
            "kms:ViaService": {"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}
        }
    }


def test_no_right_is_wider_than_it_needs_to_be(translated: Template) -> None:
    for role in of_type(translated, "AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]
        for statement in statements(role):
            assert not {"NotAction", "NotResource"} & set(statement)
            assert all("*" not in action for action in as_list(statement["Action"]))
            assert all("*" not in json.dumps(one) for one in as_list(statement["Resource"]))


def test_rights_are_written_in_the_roles_alone(translated: Template) -> None:
    kinds = {one["Type"] for one in translated["Resources"].values()}
    assert not kinds & {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"}


def test_only_lambda_takes_on_a_role_and_within_the_boundary(translated: Template) -> None:
    for role in of_type(translated, "AWS::IAM::Role").values():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        assert role["Properties"]["PermissionsBoundary"] == {
            "Fn::If": [
                "HasPermissionsBoundary",
                {"Ref": "PermissionsBoundaryArn"},
                {"Ref": "AWS::NoValue"},
            ]
        }


def test_secret_is_created_only_without_one_of_your_own(translated: Template) -> None:
    ((_, secret),) = of_type(translated, "AWS::SecretsManager::Secret").items()
    assert secret["Condition"] == "CreateSecret"
    assert translated["Conditions"]["CreateSecret"] == {"Fn::Equals": [{"Ref": "SecretArn"}, ""]}


def test_placeholder_has_the_shape_of_the_secret_and_is_no_credential(
    translated: Template,
) -> None:
    value = properties(translated, "UserSigSecret")["SecretString"]
    assert set(json.loads(value)) == {"sdkappid", "identifier", "usersig"}
    with pytest.raises(SecretError):
        parse_secret(value, 0.0)
