"""What makes the template fit for any account, and readable in the console."""

import json
import re

import pytest

from template.reading import of_type, strings
from template.translate import Template

NAME_PROPERTIES = {
    "AlarmName",
    "DashboardName",
    "FunctionName",
    "LayerName",
    "LogGroupName",
    "Name",
    "QueueName",
    "RoleName",
    "TopicName",
}
STATEFUL = (
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
    "AWS::Logs::LogGroup",
    "AWS::DynamoDB::Table",
)


def test_no_name_is_fixed_so_two_stacks_fit_into_one_account(application: Template) -> None:
    for resource in application["Resources"].values():
        if resource["Type"] in ("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"):
            continue  # its FunctionName names another resource
        for name in NAME_PROPERTIES & set(resource["Properties"]):
            assert "${AWS::StackName}" in json.dumps(resource["Properties"][name])


def test_arns_that_are_written_out_hold_in_every_partition(
    written: Template, written_jobs: Template
) -> None:
    texts = [text for one in (written, written_jobs) for text in strings(one["Resources"])]
    arns = [text for text in texts if re.search(r"\barn:", text)]
    assert arns
    assert all(arn.startswith("arn:${AWS::Partition}:") for arn in arns)


def test_no_account_and_no_region_is_written(written: Template, written_jobs: Template) -> None:
    for template in (written, written_jobs):
        for section in {"Resources", "Outputs", "Globals"} & set(template):
            text = json.dumps(template[section])
            assert not re.search(r"\b\d{12}\b|\b[a-z]{2}-[a-z]+-\d\b", text)


@pytest.mark.parametrize("section", ["Parameters", "Outputs"])
def test_each_has_a_description(application: Template, section: str) -> None:
    for name, one in application[section].items():
        assert len(one["Description"]) >= 20, name
        assert len(one["Description"]) <= 4_000, name


def test_each_parameter_has_a_default_that_its_own_rules_allow(translated: Template) -> None:
    for name, one in translated["Parameters"].items():
        default = one["Default"]
        assert default in one.get("AllowedValues", [default]), name
        assert re.search(one.get("AllowedPattern", ""), str(default)), name
        assert one.get("MinValue", 0) <= (default if one["Type"] == "Number" else 0), name
        assert one["Type"] != "Number" or default <= one.get("MaxValue", default), name


def test_each_parameter_is_bounded_or_has_a_pattern(translated: Template) -> None:
    for name, one in translated["Parameters"].items():
        bounds = {"AllowedValues", "AllowedPattern"} & set(one) or {"MinValue", "MaxValue"} <= set(
            one
        )
        assert bounds, name


def test_each_parameter_is_in_one_group_and_has_a_label(translated: Template) -> None:
    interface = translated["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(translated["Parameters"])
    assert sorted(interface["ParameterLabels"]) == sorted(translated["Parameters"])
    assert all(group["Label"]["default"] for group in interface["ParameterGroups"])


def test_each_parameter_is_used(written: Template, written_jobs: Template) -> None:
    for template in (written, written_jobs):
        used = [template.get(key) for key in ("Conditions", "Globals", "Resources")]
        text = json.dumps(used)
        for name in template["Parameters"]:
            assert f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text, name


def test_the_application_of_jobs_gets_each_of_its_parameters(
    translated: Template, written_jobs: Template
) -> None:
    given = translated["Resources"]["Jobs"]["Properties"]["Parameters"]
    assert set(given) == set(written_jobs["Parameters"])


def test_logs_of_jobs_are_deleted_with_the_stack(jobs: Template) -> None:
    for group in of_type(jobs, "AWS::Logs::LogGroup").values():
        assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("Delete", "Retain")


@pytest.mark.parametrize("kind", STATEFUL)
def test_what_holds_data_says_what_becomes_of_it(translated: Template, kind: str) -> None:
    for resource in of_type(translated, kind).values():
        assert resource["DeletionPolicy"] == "Delete"
        assert resource["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (
            "SecretArn",
            [
                "",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:team/usersig-AbC123",
                "arn:aws-cn:secretsmanager:cn-north-1:000000000000:secret:usersig-AbC123",
            ],
            [
                "usersig",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:usersig",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:*",
            ],
        ),
        (
            "SecretKmsKeyArn",
            ["", "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000000"],
            ["*", "alias/mine", "arn:aws:kms:us-east-1:000000000000:alias/mine"],
        ),
        (
            "EndpointUrl",
            [
                "",
                "https://proxy.example/timpush",
                "http://127.0.0.1:8080",
                "http://localhost:8080/",
                "http://[::1]:8080",
            ],
            ["http://proxy.example", "ftp://127.0.0.1", "proxy.example", "https://a b"],
        ),
        (
            "PermissionsBoundaryArn",
            [
                "",
                "arn:aws:iam::000000000000:policy/team/boundary",
                "arn:aws:iam::aws:policy/PowerUserAccess",
            ],
            ["boundary", "arn:aws:iam::000000000000:role/boundary"],
        ),
    ],
)
def test_patterns_take_what_is_right_and_refuse_what_is_not(
    translated: Template, parameter: str, good: list[str], bad: list[str]
) -> None:
    pattern = translated["Parameters"][parameter]["AllowedPattern"]
    assert [value for value in good if not re.search(pattern, value)] == []
    assert [value for value in bad if re.search(pattern, value)] == []
