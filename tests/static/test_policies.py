"""The policies in docs/policies: IAM takes them, and CloudFormation gets what the resource types of
the templates need, and no more."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs

from template.policies import PLACEHOLDERS, allowances, names, read_policy, text
from template.translate import ROOT, Template

MANAGED_POLICY_CHARACTERS = 6_144
"""Without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (2026-11).
"""
UNLISTED = {"UseSamTransform"}
"""The lists of actions do not have the transform, which is right all the same.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-template.html (2026-11).
"""
LONG = {"REGION": "ap-southeast-1", "STACK": "s" * 24}
PERMISSIONS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "data/resource-permissions.json").read_text(encoding="utf-8")
)
"""Resource type -> the actions that creating, reading, updating and deleting one take.

By `handlers` in the schemas of CloudFormation's public registry, as repeated in the documents of
github.com/stackql-registry/stackql-provider-awscc (read 2026-11-25). AWS::IAM::Policy,
AWS::SNS::TopicPolicy and AWS::SQS::QueuePolicy state none there: theirs are those of
AWS::IAM::RolePolicy, AWS::SNS::TopicInlinePolicy and AWS::SQS::QueueInlinePolicy.
"""
RIGHTS = (
    (ROOT / "docs/aws.md")
    .read_text(encoding="utf-8")
    .partition("\n## Rights\n")[2]
    .partition("\n## ")[0]
)
CLOUDFORMATION = ("cloudformation-runs", "cloudformation-stores")
S3_EXTRAS = (
    "s3:CreateBucketMetadataTableConfiguration s3:DeleteBucketAnalyticsConfiguration "
    "s3:DeleteBucketCors s3:DeleteBucketEncryption s3:DeleteBucketLifecycle "
    "s3:DeleteBucketMetadataTableConfiguration s3:DeleteBucketMetricsConfiguration "
    "s3:DeleteBucketReplication s3:DeleteBucketWebsite s3:DeleteObject "
    "s3:PutAccelerateConfiguration s3:PutAnalyticsConfiguration s3:PutBucketAcl s3:PutBucketCORS "
    "s3:PutBucketLogging s3:PutBucketObjectLockConfiguration s3:PutBucketReplication "
    "s3:PutBucketWebsite s3:PutIntelligentTieringConfiguration s3:PutInventoryConfiguration "
    "s3:PutMetricsConfiguration s3:PutObjectAcl s3:PutObjectLockConfiguration "
    "s3:PutReplicationConfiguration s3:UpdateBucketMetadataInventoryTableConfiguration "
    "s3:UpdateBucketMetadataJournalTableConfiguration s3tables:CreateNamespace "
    "s3tables:CreateTable s3tables:CreateTableBucket s3tables:GetTable "
    "s3tables:GetTableMetadataLocation s3tables:PutTableEncryption s3tables:PutTablePolicy "
    "s3tables:UpdateTableMetadataLocation iam:PassRole"
)
UNUSED = {
    # The definition is in the template, and no integration has credentials of its own.
    "AWS::ApiGateway::RestApi": "iam:PassRole s3:GetObject",
    # Termination protection, stack policies and roles are of the parent alone.
    "AWS::CloudFormation::Stack": "cloudformation:SetStackPolicy "
    "cloudformation:UpdateTerminationProtection iam:PassRole",
    # No import, no stream to Kinesis, no insights, no policy of its own, no replica; the KMS key is
    # given by its ARN.
    "AWS::DynamoDB::Table": "dynamodb:DeleteResourcePolicy dynamodb:DescribeImport "
    "dynamodb:DisableKinesisStreamingDestination dynamodb:EnableKinesisStreamingDestination "
    "dynamodb:ImportTable dynamodb:PutResourcePolicy dynamodb:UpdateContributorInsights "
    "dynamodb:UpdateKinesisStreamingDestination iam:CreateServiceLinkedRole "
    "kinesis:DescribeStream kinesis:PutRecords kms:ListAliases logs:CreateLogGroup "
    "logs:CreateLogStream logs:DescribeLogGroups logs:DescribeLogStreams logs:PutLogEvents "
    "logs:PutRetentionPolicy s3:GetObject s3:GetObjectMetadata s3:ListBucket",
    # A function and a topic are targets by their own policies, without a role.
    "AWS::Events::Rule": "iam:PassRole",
    # No managed policies.
    "AWS::IAM::Role": "iam:AttachRolePolicy iam:DetachRolePolicy",
    # Enabled and rotated at all times.
    "AWS::KMS::Key": "kms:DisableKey kms:DisableKeyRotation kms:EnableKey",
    # No key for the filter criteria: there are none.
    "AWS::Lambda::EventSourceMapping": "kms:Decrypt kms:DescribeKey kms:GenerateDataKey",
    # No code signing, file system, recursion, chosen runtime version or key for the environment.
    "AWS::Lambda::Function": "elasticfilesystem:DescribeMountTargets kms:CreateGrant kms:Decrypt "
    "kms:Encrypt kms:GenerateDataKey lambda:DeleteFunctionCodeSigningConfig "
    "lambda:GetCodeSigningConfig lambda:PutFunctionCodeSigningConfig "
    "lambda:PutFunctionRecursionConfig lambda:PutRuntimeManagementConfig",
    # No data protection, field indexes, deliveries or resource policies.
    "AWS::Logs::LogGroup": "firehose:TagDeliveryStream logs:CreateLogDelivery "
    "logs:DeleteDataProtectionPolicy logs:DeleteIndexPolicy logs:DeleteResourcePolicy "
    "logs:PutDataProtectionPolicy logs:PutIndexPolicy logs:PutResourcePolicy s3:REST.PUT.OBJECT",
    # Only what the bucket of jobs has: versions, encryption, lifecycle, ownership, events, a block
    # of public access and a policy.
    "AWS::S3::Bucket": S3_EXTRAS,
    # No delivery to Firehose.
    "AWS::SNS::Subscription": "iam:GetRole iam:PassRole",
    # No log of deliveries and no data protection.
    "AWS::SNS::Topic": "iam:GetRole iam:PassRole sns:PutDataProtectionPolicy",
    # The value is given; no replica in another region.
    "AWS::SecretsManager::Secret": "secretsmanager:GetRandomPassword "
    "secretsmanager:RemoveRegionsFromReplication secretsmanager:ReplicateSecretToRegions",
    # No key of its own for executions.
    "AWS::StepFunctions::StateMachine": "kms:Decrypt kms:DescribeKey kms:GenerateDataKey",
}
"""Resource type -> what its schema states and the templates do not use."""
BEYOND = {
    # Secrets Manager encrypts the secret with the deployer's rights on the key, and DynamoDB asks
    # for all of them before it takes its grant.
    ("UseKmsKey", "kms:GenerateDataKey"),
    ("UseKmsKey", "kms:ReEncryptFrom"),
    # API Gateway makes its role with the first API of an account.
    ("ApiServiceRole", "iam:CreateServiceLinkedRole"),
}
"""What no schema states."""


def code(cells: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cells)


def documented() -> dict[str, set[str]]:
    """Resource type -> its statements, by the table in docs/aws.md."""
    rows = re.findall(r"^\| (`AWS::.+?) \| (`.+?) \|$", RIGHTS, re.MULTILINE)
    return {kind: set(code(sids)) for kinds, sids in rows for kind in code(kinds)}


def statements() -> dict[str, dict[str, Any]]:
    """What CloudFormation needs, by the names of the statements."""
    return {one["Sid"]: one for name in CLOUDFORMATION for one in read_policy(name)["Statement"]}


def allowed(kind: str, action: str) -> bool:
    """Whether the statements of a type allow an action."""
    sids = documented()[kind]
    return any(
        right.covers(action, right.resource)
        for name in CLOUDFORMATION
        for right in allowances(read_policy(name), sids)
    )


def unused(kind: str) -> set[str]:
    return set(UNUSED.get(kind, "").split())


@pytest.mark.parametrize("name", names())
class TestEachPolicy:
    def test_iam_takes_its_size(self, name: str) -> None:
        document = read_policy(name, LONG)
        assert len(json.dumps(document, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS

    def test_each_action_is_one_of_aws_and_on_a_resource_that_it_has(self, name: str) -> None:
        policy = {"PolicyDocument": read_policy(name)}
        resource = {"Type": "AWS::IAM::ManagedPolicy", "Properties": policy}
        config = ManualArgs(include_checks=["I"], regions=["us-east-1"])
        found = cfn_lint(json.dumps({"Resources": {"Policy": resource}}), config=config)
        sids = [one["Sid"] for one in policy["PolicyDocument"]["Statement"]]
        faults = [(sids[one.path[5]], one.message) for one in found]
        assert [fault for fault in faults if fault[0] not in UNLISTED] == []

    def test_nothing_in_capitals_is_left_to_fill_in(self, name: str) -> None:
        left = set(re.findall(r"\b[A-Z_]{3,}\b", text(name))) - set(PLACEHOLDERS)
        assert left - {"DELETE", "GET", "PATCH", "POST", "PUT"} == set()

    def test_the_documented_command_fills_it_in(self, name: str) -> None:
        block = RIGHTS.partition("\nsed -e")[2].partition(" \\\n    docs/policies/")[0]
        command = f"sed -e{block} docs/policies/{name}.json"
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=True)
        filled = json.loads(done.stdout)
        assert filled["Statement"]
        assert not re.search(rf"\b({'|'.join(PLACEHOLDERS)})\b", done.stdout.decode())

    def test_each_name_of_a_statement_is_used_once(self, name: str) -> None:
        sids = [one["Sid"] for one in read_policy(name)["Statement"]]
        assert len(set(sids)) == len(sids)

    def test_the_documents_link_it(self, name: str) -> None:
        assert f"(policies/{name}.json)" in RIGHTS


def test_every_resource_type_has_its_statements(
    translated: Template, jobs: Template, monitoring: Template
) -> None:
    templates = (translated, jobs, monitoring)
    kinds = {one["Type"] for each in templates for one in each["Resources"].values()}
    assert kinds == set(documented()) == set(PERMISSIONS)
    assert {sid for sids in documented().values() for sid in sids} == set(statements())


@pytest.mark.parametrize("kind", PERMISSIONS)
def test_what_a_type_needs_is_allowed_and_the_rest_is_not(kind: str) -> None:
    needed = set(PERMISSIONS[kind]) - unused(kind)
    assert unused(kind) <= set(PERMISSIONS[kind])
    assert {one for one in needed if not allowed(kind, one)} == set()
    assert {one for one in unused(kind) if allowed(kind, one)} == set()


def test_no_statement_allows_what_no_type_needs() -> None:
    needed = {
        (sid, action)
        for kind, sids in documented().items()
        for sid in sids
        for action in set(PERMISSIONS[kind]) - unused(kind)
    } | BEYOND
    superfluous = [
        (right.sid, right.action)
        for name in CLOUDFORMATION
        for right in allowances(read_policy(name))
        if not any(sid == right.sid and right.covers(one, right.resource) for sid, one in needed)
    ]
    assert superfluous == []


def test_roles_are_passed_to_the_services_that_take_them_on_and_to_no_others(
    translated: Template, jobs: Template, monitoring: Template
) -> None:
    trusted = {
        statement["Principal"]["Service"]
        for each in (translated, jobs, monitoring)
        for one in each["Resources"].values()
        if one["Type"] == "AWS::IAM::Role"
        for statement in one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    passes = statements()["PassRoles"]
    assert set(passes["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted
    assert passes["Resource"] == statements()["Roles"]["Resource"]


def test_every_statement_of_the_deployer_is_explained() -> None:
    rows = re.findall(r"^\| (`\w.+?) \| [a-z].+\|$", RIGHTS, re.MULTILINE)
    explained = {sid for cells in rows for sid in code(cells)}
    assert {one["Sid"] for one in read_policy("deployer")["Statement"]} <= explained
