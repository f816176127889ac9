"""Who may do what: each right is listed here, so a new one is a change of this file."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from template.reading import as_list, of_type, properties, statements, strings
from template.translate import Template
from timpush.errors import SecretError
from timpush.tencent.credentials import parse_secret

Statement = dict[str, Any]

X_RAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
"""The actions that AWS knows no resource for."""
INTERFACES = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]
"""What Lambda does before there is a network interface that a right could name."""
SAMPLING = {"xray:GetSamplingRules", "xray:GetSamplingTargets"}
"""What a state machine may do in addition, to trace."""
TRACES = (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")
SECRET = {"Fn::If": ["CreateSecret", {"Ref": "UserSigSecret"}, {"Ref": "SecretArn"}]}


def test_every_function_names_a_role_of_its_own(application: Template) -> None:
    roles = of_type(application, "AWS::IAM::Role")
    functions = of_type(application, "AWS::Lambda::Function").values()
    named = [one["Properties"]["Role"]["Fn::GetAtt"] for one in functions]
    named += [[name, "Arn"] for name in roles if not is_taken_by(roles[name], "lambda")]
    assert sorted(named) == sorted([name, "Arn"] for name in roles)


def test_worker_may_do_exactly_this(translated: Template) -> None:
    found = {one["Sid"]: one for one in statements(translated["Resources"]["RemoveTagsWorkerRole"])}
    rights = {sid: (as_list(one["Action"]), one["Resource"]) for sid, one in found.items()}
    assert rights == {
        "ReadSecret": (["secretsmanager:GetSecretValue"], SECRET),
        "DecryptSecret": (["kms:Decrypt"], {"Ref": "SecretKmsKeyArn"}),
        "UseKmsKey": (["kms:Decrypt", "kms:GenerateDataKey"], {"Ref": "KmsKeyArn"}),
        "ConsumeQueue": (
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
                "sqs:SendMessage",
            ],
            {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]},
        ),
        "RecordJobs": (
            ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"],
            {"Fn::GetAtt": ["JobsTable", "Arn"]},
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
        "ManageNetworkInterfaces": (INTERFACES, "*"),
        "LeaveNetworkInterfacesToLambda": (["ec2:*"], "*"),
    }
    denied = [sid for sid, one in found.items() if one["Effect"] != "Allow"]
    assert denied == ["LeaveNetworkInterfacesToLambda"]


def test_worker_decrypts_only_with_a_key_that_is_named_and_for_secrets_manager(
    translated: Template,
) -> None:
    (policy,) = properties(translated, "RemoveTagsWorkerRole")["Policies"]
    ((condition, statement, nothing),) = (
        one["Fn::If"]
        for one in policy["PolicyDocument"]["Statement"]
        if "Fn::If" in one and one["Fn::If"][1]["Sid"] == "DecryptSecret"
    )
    assert condition == "HasSecretKmsKey"
    assert nothing == {"Ref": "AWS::NoValue"}
    assert statement["Condition"] == {
        "StringEquals": {
            "kms:ViaService": {"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}
        }
    }


def is_narrow(statement: Statement) -> bool:
    """Whether a statement of a role names its actions and resources, as far as AWS lets it.

    What denies can be as wide as it likes.
    """
    if statement["Effect"] == "Deny":
        return True
    actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
    if {"NotAction", "NotResource"} & set(statement) or "*" in json.dumps(actions):
        return False
    if resources == ["*"] and set(actions) in (X_RAY, X_RAY | SAMPLING, set(INTERFACES)):
        return True
    return "*" not in json.dumps(resources).replace('/*"', '"')  # what is below a folder


def test_no_right_is_wider_than_it_needs_to_be(application: Template) -> None:
    for role in of_type(application, "AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]
        assert [one for one in statements(role) if not is_narrow(one)] == []


@pytest.mark.parametrize(
    ("actions", "resource", "narrow"),
    [
        (sorted(X_RAY), "*", True),
        ("sqs:SendMessage", {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]}, True),
        ("xray:PutTraceSegments", "*", False),
        ([*sorted(X_RAY), "sqs:SendMessage"], "*", False),
        ("xray:*", "*", False),
        (INTERFACES, "*", True),
        ("ec2:CreateNetworkInterface", "*", False),
        ("sqs:SendMessage", "*", False),
        ("sqs:SendMessage", ["*"], False),
        ("sqs:*", {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]}, False),
        ("sqs:SendMessage", {"Fn::Sub": "arn:${AWS::Partition}:sqs:*:*:queue"}, False),
    ],
)
def test_a_wildcard_is_narrow_for_x_ray_and_network_interfaces_alone(
    actions: Any, resource: Any, narrow: bool
) -> None:
    assert is_narrow({"Effect": "Allow", "Action": actions, "Resource": resource}) is narrow


def test_no_policy_of_a_resource_lets_everybody_in(
    translated: Template, jobs: Template, monitoring: Template
) -> None:
    templates = (translated, jobs, monitoring)
    found = [one for template in templates for one in resource_statements(template)]
    assert len(found) > 1
    for name, statement in found:
        if statement["Effect"] == "Allow" and "*" in strings(statement["Principal"]):
            assert statement["Condition"] == ORGANIZATION, name


def test_a_service_invokes_a_function_only_for_what_is_named(application: Template) -> None:
    for name, one in of_type(application, "AWS::Lambda::Permission").items():
        permission = one["Properties"]
        assert permission["Principal"].endswith(".amazonaws.com"), name
        assert "SourceArn" in permission, name


ORGANIZATION = {
    "StringEquals": {"aws:PrincipalOrgID": {"Ref": "SenderOrganizationId"}},
    "StringNotEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}},
}


def resource_statements(translated: Template) -> Iterator[tuple[str, Statement]]:
    """Each statement of a policy that a resource carries: of queues, topics, keys, secrets.

    There a resource of `*` is the one that carries the policy.
    """
    for name, one in translated["Resources"].items():
        for key in ("PolicyDocument", "KeyPolicy", "ResourcePolicy"):
            if one["Type"] == "AWS::IAM::Policy":  # carried by a role
                continue
            for statement in as_list(one["Properties"].get(key, {}).get("Statement", [])):
                yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement


def test_rights_are_written_in_the_roles_alone(translated: Template, jobs: Template) -> None:
    """But for those to start a map: they name the state machine, which names its role."""
    policies = {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"}
    resources = translated["Resources"] | jobs["Resources"]
    found = {name for name, one in resources.items() if one["Type"] in policies}
    assert found == {"JobsStateMachineMaps"}


def is_taken_by(role: Any, service: str) -> bool:
    """Whether a role is for this service, and for no other principal."""
    (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    expected = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return bool(statement == expected)


def test_only_its_service_takes_on_a_role_and_within_the_boundary(application: Template) -> None:
    for name, role in of_type(application, "AWS::IAM::Role").items():
        assert is_taken_by(role, "states" if name == "JobsStateMachineRole" else "lambda")
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
