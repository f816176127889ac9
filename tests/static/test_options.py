"""What a company's account may ask for: each option off, which changes nothing, and on."""

import re
from typing import Any

import pytest

from template.deployment import Deployment
from template.reading import as_list, of_type
from template.translate import ROOT, Template

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sender"
ORGANIZATION = "o-exampleorgid"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:removals"
KEY = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000000"
SIGNING_KEY = "arn:aws:secretsmanager:us-east-1:000000000000:secret:key-AbC123"
NETWORK = {"SubnetIds": "subnet-0a,subnet-0b", "SecurityGroupIds": "sg-0c"}
FUNCTIONS = {"RemoveTagsWorker", "RemoveTagsEndpoint", "RotateUserSig"}
ROLES = {f"{name}Role" for name in FUNCTIONS}
KMS = {"Ref": "KmsKeyArn"}


def queue_statements(deployment: Deployment) -> dict[str, Any]:
    policies = deployment.of_type("AWS::SQS::QueuePolicy").values()
    (policy,) = (one for one in policies if {"Ref": "RemoveTagsQueue"} in one["Queues"])
    return {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}


def api_statements(deployment: Deployment) -> dict[str, Any]:
    body = deployment.properties("RemoveTagsApi")["Body"]
    return {one["Sid"]: one for one in body["x-amazon-apigateway-policy"]["Statement"]}


def split(name: str) -> dict[str, Any]:
    """A list that a parameter holds as text."""
    return {"Fn::Split": [",", {"Ref": name}]}


class TestSenders:
    def test_by_default_no_one_else_may_send_or_invoke(self, translated: Template) -> None:
        deployment = Deployment(translated)
        assert list(queue_statements(deployment)) == ["OnlyOverTls"]
        assert list(api_statements(deployment)) == ["OnlyOverTls"]

    def test_principals_may_send_and_invoke_and_nothing_more(self, translated: Template) -> None:
        deployment = Deployment(translated, SenderPrincipals=f"{ACCOUNT},{ROLE}")
        queue, api = queue_statements(deployment), api_statements(deployment)
        assert set(queue) == {"OnlyOverTls", "SenderPrincipals"}
        assert set(api) == {"OnlyOverTls", "SenderPrincipals"}
        for statement in (queue["SenderPrincipals"], api["SenderPrincipals"]):
            assert statement["Effect"] == "Allow"
            assert statement["Principal"] == {"AWS": split("SenderPrincipals")}
        assert queue["SenderPrincipals"]["Action"] == "sqs:SendMessage"
        assert api["SenderPrincipals"]["Action"] == "execute-api:Invoke"
        assert api["SenderPrincipals"]["Resource"] == "execute-api:/live/POST/v1/remove-tags"

    def test_everybody_means_every_other_account_of_the_organization(
        self, translated: Template
    ) -> None:
        """In this account IAM policies decide: there, this statement would be enough alone."""
        deployment = Deployment(translated, SenderOrganizationId=ORGANIZATION)
        condition = {
            "StringEquals": {"aws:PrincipalOrgID": {"Ref": "SenderOrganizationId"}},
            "StringNotEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}},
        }
        queue, api = queue_statements(deployment), api_statements(deployment)
        assert (set(queue), set(api)) == (
            {"OnlyOverTls", "SenderOrganization"},
            {"OnlyOverTls", "SenderOrganization"},
        )
        assert queue["SenderOrganization"]["Condition"] == condition
        assert api["SenderOrganization"]["Condition"] == condition

    def test_topics_and_rules_may_send_when_they_are_named(self, translated: Template) -> None:
        queue = queue_statements(Deployment(translated, SenderSourceArns=TOPIC))
        statement = queue["SenderSources"]
        assert statement["Principal"] == {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": split("SenderSourceArns")}}
        assert statement["Action"] == "sqs:SendMessage"

    def test_every_sender_must_use_tls(self, translated: Template) -> None:
        everything = {
            "SenderPrincipals": ROLE,
            "SenderOrganizationId": ORGANIZATION,
            "SenderSourceArns": TOPIC,
        }
        deployment = Deployment(translated, **everything)
        for statements in (queue_statements(deployment), api_statements(deployment)):
            denied = statements["OnlyOverTls"]
            assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
            assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_a_change_of_senders_is_deployed(self, written: Template) -> None:
        """A resource policy takes effect with a deployment of the API."""
        assert written["Resources"]["RemoveTagsApi"]["Properties"]["AlwaysDeploy"] is True


class TestNetwork:
    def test_by_default_there_is_no_vpc_and_no_right_to_one(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=SIGNING_KEY)
        for function in deployment.of_type("AWS::Lambda::Function").values():
            assert "VpcConfig" not in function
        assert not [one for _, actions, _ in deployment.rights() for one in actions if "ec2" in one]

    def test_every_function_runs_in_the_subnets(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=SIGNING_KEY, **NETWORK)
        functions = deployment.of_type("AWS::Lambda::Function")
        assert set(functions) == FUNCTIONS
        for function in functions.values():
            assert function["VpcConfig"] == {
                "SubnetIds": split("SubnetIds"),
                "SecurityGroupIds": split("SecurityGroupIds"),
            }

    def test_steps_of_jobs_call_aws_alone_and_run_in_no_vpc(self, jobs: Template) -> None:
        for function in of_type(jobs, "AWS::Lambda::Function").values():
            assert "VpcConfig" not in function["Properties"]

    def test_roles_get_the_rights_of_lambdas_own_policy_for_it(self, translated: Template) -> None:
        """Those of AWSLambdaVPCAccessExecutionRole, less the logs, which are given already."""
        deployment = Deployment(translated, SigningKeySecretArn=SIGNING_KEY, **NETWORK)
        found = {
            role: set(actions)
            for role, actions, _ in deployment.rights()
            if actions[0].startswith("ec2:")
        }
        assert set(found) == ROLES
        for actions in found.values():
            assert actions == {
                "ec2:CreateNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            }

    def test_code_of_a_function_may_not_use_them(self, translated: Template) -> None:
        """Its calls carry the function's ARN, which those of Lambda do not (`configuration-vpc`,
        2026-11)."""
        deployment = Deployment(translated, SigningKeySecretArn=SIGNING_KEY, **NETWORK)
        denied = dict(deployment.statements("Deny"))
        assert set(denied) == ROLES
        for statement in denied.values():
            assert (statement["Action"], statement["Resource"]) == ("ec2:*", "*")
            assert statement["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}
        assert not list(Deployment(translated).statements("Deny"))

    @pytest.mark.parametrize("name", sorted(NETWORK))
    def test_subnets_without_security_groups_are_refused(
        self, translated: Template, name: str
    ) -> None:
        assert len(Deployment(translated, **{name: NETWORK[name]}).refused()) == 1
        assert Deployment(translated, **NETWORK).refused() == []


class TestKey:
    def test_by_default_keys_of_aws_are_used(self, translated: Template) -> None:
        deployment = Deployment(translated, SigningKeySecretArn=SIGNING_KEY)
        for queue in deployment.of_type("AWS::SQS::Queue").values():
            assert queue["SqsManagedSseEnabled"] is True
            assert "KmsMasterKeyId" not in queue
        assert "KmsKeyId" not in deployment.properties("UserSigSecret")
        for group in deployment.of_type("AWS::Logs::LogGroup").values():
            assert "KmsKeyId" not in group
        assert deployment.may(KMS) == {}

    def test_the_key_encrypts_all_that_is_stored_beside_a_signing_key_too(
        self, translated: Template
    ) -> None:
        deployment = Deployment(
            translated, KmsKeyArn=KEY, SigningKeySecretArn=SIGNING_KEY, ApiAccessLogs="true"
        )
        assert deployment.refused() == []
        for queue in deployment.of_type("AWS::SQS::Queue").values():
            assert (queue["KmsMasterKeyId"], queue["SqsManagedSseEnabled"]) == (KMS, False)
        assert deployment.properties("UserSigSecret")["KmsKeyId"] == KMS
        groups = deployment.of_type("AWS::Logs::LogGroup")
        assert len(groups) == 4
        assert all(group["KmsKeyId"] == KMS for group in groups.values())

    def test_the_topic_is_encrypted_with_it_and_gets_no_key_of_its_own(
        self, translated: Template, monitoring: Template
    ) -> None:
        given = translated["Resources"]["Monitoring"]["Properties"]["Parameters"]["KmsKeyArn"]
        assert given == KMS
        mine = Deployment(monitoring, AlarmEmail="a@b.example")
        assert mine.properties("AlarmTopic")["KmsMasterKeyId"] == {"Ref": "AlarmTopicKey"}
        yours = Deployment(monitoring, AlarmEmail="a@b.example", KmsKeyArn=KEY)
        assert yours.properties("AlarmTopic")["KmsMasterKeyId"] == KMS
        assert "AlarmTopicKey" not in yours.resources()

    def test_functions_use_it_through_the_services_that_they_call(
        self, translated: Template
    ) -> None:
        deployment = Deployment(translated, KmsKeyArn=KEY, SigningKeySecretArn=SIGNING_KEY)
        assert deployment.may(KMS) == {
            role: {"kms:Decrypt", "kms:GenerateDataKey"} for role in ROLES
        }
        via = {}
        for role, properties in deployment.of_type("AWS::IAM::Role").items():
            (statement,) = (
                one
                for policy in properties["Policies"]
                for one in policy["PolicyDocument"]["Statement"]
                if one["Sid"] == "UseKmsKey"
            )
            services = as_list(statement["Condition"]["StringEquals"]["kms:ViaService"])
            via[role] = {one["Fn::Sub"].partition(".")[0] for one in services}
        assert via == {
            "RotateUserSigRole": {"secretsmanager"},
            "RemoveTagsWorkerRole": {"secretsmanager", "sqs", "dynamodb"},
            "RemoveTagsEndpointRole": {"secretsmanager", "sqs", "dynamodb", "s3"},
        }

    def test_by_default_bucket_and_table_of_jobs_have_keys_of_aws(
        self, translated: Template
    ) -> None:
        deployment = Deployment(translated)
        assert bucket_encryption(deployment) == {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}
        }
        assert "SSESpecification" not in deployment.properties("JobsTable")

    def test_the_key_encrypts_bucket_and_table_of_jobs(self, translated: Template) -> None:
        deployment = Deployment(translated, KmsKeyArn=KEY)
        assert bucket_encryption(deployment) == {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS},
            "BucketKeyEnabled": True,
        }
        assert deployment.properties("JobsTable")["SSESpecification"] == {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": KMS,
        }

    def test_jobs_get_the_key_and_encrypt_their_logs_with_it(
        self, translated: Template, jobs: Template
    ) -> None:
        assert translated["Resources"]["Jobs"]["Properties"]["Parameters"]["KmsKeyArn"] == KMS
        for group in Deployment(jobs).of_type("AWS::Logs::LogGroup").values():
            assert "KmsKeyId" not in group
        for group in Deployment(jobs, KmsKeyArn=KEY).of_type("AWS::Logs::LogGroup").values():
            assert group["KmsKeyId"] == KMS

    def test_a_step_uses_the_key_as_far_as_it_reads_and_writes(self, jobs: Template) -> None:
        assert Deployment(jobs).may(KMS) == {}
        read, write = {"kms:Decrypt"}, {"kms:Decrypt", "kms:GenerateDataKey"}
        expected = {}
        for role, services in services_used(Deployment(jobs)).items():
            if services & {"dynamodb", "s3", "sqs"}:
                expected[role] = read
            if services & {"s3:PutObject", "sqs:SendMessage"}:
                expected[role] = write
        found = Deployment(jobs, KmsKeyArn=KEY).may(KMS)
        assert found == expected
        assert "StartJobRole" not in found
        assert len(found) == len(of_type(jobs, "AWS::IAM::Role")) - 1

    def test_a_step_uses_the_key_through_services_alone(self, jobs: Template) -> None:
        for role in Deployment(jobs, KmsKeyArn=KEY).of_type("AWS::IAM::Role").values():
            for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
                if statement["Resource"] == KMS:
                    via = statement["Condition"]["StringEquals"]["kms:ViaService"]
                    services = {one["Fn::Sub"].partition(".")[0] for one in via}
                    assert services <= {"dynamodb", "s3", "sqs"}


def figures(pattern: str, text: str) -> list[float]:
    """The numbers of a sentence."""
    (found,) = re.findall(pattern, text)
    return [float(one) for one in found]


def bucket_encryption(deployment: Deployment) -> dict[str, Any]:
    encryption = deployment.properties("JobsBucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert isinstance(rule, dict)
    return rule


def services_used(deployment: Deployment) -> dict[str, set[str]]:
    """Role -> its actions, and the services that they are of."""
    found: dict[str, set[str]] = {}
    for role, actions, _ in deployment.rights():
        used = found.setdefault(role, set())
        used.update(actions, (one.partition(":")[0] for one in actions))
    return found


class TestReservedConcurrency:
    def test_none_is_reserved_by_default(self, translated: Template) -> None:
        for function in Deployment(translated).of_type("AWS::Lambda::Function").values():
            assert "ReservedConcurrentExecutions" not in function

    def test_it_is_reserved_for_the_endpoint_alone(self, translated: Template) -> None:
        """Below the worker's MaximumConcurrency it would throttle batches that were polled."""
        deployment = Deployment(translated, EndpointReservedConcurrency="5")
        found = {
            name: one["ReservedConcurrentExecutions"]
            for name, one in deployment.of_type("AWS::Lambda::Function").items()
            if "ReservedConcurrentExecutions" in one
        }
        assert found == {"RemoveTagsEndpoint": {"Ref": "EndpointReservedConcurrency"}}

    def test_its_arithmetic_holds_with_the_defaults(self, translated: Template) -> None:
        """Requests at the same time: requests a second x the seconds that one takes."""
        rate = int(Deployment(translated).parameters["ApiCallsPerSecond"])
        (settings,) = Deployment(translated).properties("RemoveTagsApiliveStage")["MethodSettings"]
        assert settings["ThrottlingRateLimit"] == settings["ThrottlingBurstLimit"]
        burst = 2 * rate  # as many in a burst as the rate allows in a second
        text = translated["Parameters"]["EndpointReservedConcurrency"]["Description"]
        assert figures(
            r"A tenth of a second a request and ApiCallsPerSecond (\d+) need (\d+), "
            r"slow replies of (\d+) seconds and a burst (\d+)\.",
            text,
        ) == [rate, round(rate / 10), 2, burst * 2]
        limits = (ROOT / "docs/aws.md").read_text(encoding="utf-8")
        asked, seconds, usual, most, slow, all_slow = figures(
            r"seconds a request: (\d+) x ([\d.]+) s = (\d+), in a burst of (\d+) with (\d+) s each "
            r"(\d+);",
            limits,
        )
        assert (asked, most) == (rate, burst)
        assert (usual, all_slow) == (round(asked * seconds), most * slow)


def test_the_api_takes_no_tls_below_1_2(translated: Template) -> None:
    api = Deployment(translated).properties("RemoveTagsApi")
    assert api["SecurityPolicy"].startswith("SecurityPolicy_TLS13_1_2_PFS")
    assert api["EndpointAccessMode"] == "BASIC"


class TestAlarmsOnTheRotation:
    @pytest.mark.parametrize(
        ("schedule", "hours"), [("rate(4 hours)", 6), ("rate(12 hours)", 14), ("rate(1 day)", 26)]
    )
    def test_a_rotation_that_does_not_start_is_missed_without_any_traffic(
        self, monitoring: Template, schedule: str, hours: int
    ) -> None:
        alarm = Deployment(
            monitoring, RotationFunctionName="rotate", RotationSchedule=schedule
        ).properties("RotationMissingAlarm")
        assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("Invocations", "breaching")
        assert alarm["Period"] * alarm["EvaluationPeriods"] == hours * 3_600

    def test_it_is_missed_only_where_there_is_a_schedule(self, monitoring: Template) -> None:
        without = Deployment(monitoring, RotationFunctionName="rotate", RotationSchedule="")
        assert "RotationMissingAlarm" not in without.resources()

    @pytest.mark.parametrize(
        ("receivers", "targets"),
        [
            ({"AlarmTopicArn": TOPIC}, [{"Ref": "AlarmTopicArn"}]),
            ({"AlarmEmail": "a@b.example"}, [{"Ref": "AlarmTopic"}]),
            (
                {"AlarmTopicArn": TOPIC, "AlarmEmail": "a@b.example"},
                [{"Ref": "AlarmTopicArn"}, {"Ref": "AlarmTopic"}],
            ),
        ],
    )
    def test_what_fails_inside_secrets_manager_reaches_every_receiver(
        self, monitoring: Template, receivers: dict[str, str], targets: list[Any]
    ) -> None:
        rule = Deployment(monitoring, RotationFunctionName="rotate", **receivers).properties(
            "RotationFailedRule"
        )
        assert [one["Arn"] for one in rule["Targets"]] == targets
        detail = rule["EventPattern"]["detail"]
        assert detail["eventName"] == ["RotationFailed", "RotationAbandoned"]
        assert detail["additionalEventData"] == {"SecretId": [{"Ref": "UserSigSecretArn"}]}

    def test_there_is_no_rule_without_a_receiver(self, monitoring: Template) -> None:
        deployment = Deployment(monitoring, RotationFunctionName="rotate")
        assert "RotationFailedRule" not in deployment.resources()


def test_the_subscription_is_a_resource_that_goes_with_the_stack(monitoring: Template) -> None:
    deployment = Deployment(monitoring, AlarmEmail="a@b.example")
    assert "Subscription" not in deployment.properties("AlarmTopic")
    assert deployment.properties("AlarmSubscription") == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }
