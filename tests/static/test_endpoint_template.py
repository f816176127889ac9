"""The endpoint: who may call it, how often, what that leaves to the worker, and its rights."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from template.reading import allowed, as_list, of_type, properties, statements
from template.translate import ROOT, Template
from timpush.jobs.table import INDEX
from timpush.settings import read_api_settings, read_jobs_settings

POWERTOOLS = {
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
}
FOR_ALL_FUNCTIONS = {"HASH_ACCOUNTS_IN_LOGS"}
API_GATEWAY_SECONDS = 29
COLD_START_SECONDS = 3


@pytest.fixture
def stage(translated: Template) -> dict[str, Any]:
    ((_, found),) = of_type(translated, "AWS::ApiGateway::Stage").items()
    stage: dict[str, Any] = found["Properties"]
    return stage


@pytest.fixture
def methods(translated: Template) -> dict[tuple[str, str], dict[str, Any]]:
    paths = properties(translated, "RemoveTagsApi")["Body"]["paths"]
    found = {(path, verb): one for path, verbs in paths.items() for verb, one in verbs.items()}
    assert found
    return found


class TestAccess:
    def test_there_are_these_methods_alone(
        self, methods: dict[tuple[str, str], dict[str, Any]]
    ) -> None:
        assert set(methods) == {
            ("/v1/remove-tags", "post"),
            ("/v1/jobs", "get"),
            ("/v1/jobs", "post"),
            ("/v1/jobs/{id}", "get"),
            ("/v1/jobs/{id}", "delete"),
        }

    def test_every_method_asks_for_a_signature(
        self, translated: Template, methods: dict[tuple[str, str], dict[str, Any]]
    ) -> None:
        schemes = properties(translated, "RemoveTagsApi")["Body"]["components"]["securitySchemes"]
        assert schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
        for method in methods.values():
            assert method["security"] == [{"AWS_IAM": []}]

    def test_no_one_calls_the_function_with_the_callers_own_rights(
        self, written: Template, methods: dict[tuple[str, str], dict[str, Any]]
    ) -> None:
        auth = written["Resources"]["RemoveTagsApi"]["Properties"]["Auth"]
        assert auth == {"DefaultAuthorizer": "AWS_IAM", "InvokeRole": "NONE"}
        for method in methods.values():
            assert "credentials" not in method["x-amazon-apigateway-integration"]

    def test_no_resource_policy_opens_the_api_and_no_other_api_is_there(
        self, translated: Template
    ) -> None:
        assert list(of_type(translated, "AWS::ApiGateway::RestApi")) == ["RemoveTagsApi"]
        assert "Policy" not in properties(translated, "RemoveTagsApi")
        kinds = {one["Type"] for one in translated["Resources"].values()}
        assert not kinds & {"AWS::ApiGatewayV2::Api", "AWS::Lambda::Url"}

    def test_api_gateway_alone_may_invoke_the_function_and_for_these_paths_alone(
        self, translated: Template
    ) -> None:
        permissions = [
            one["Properties"]
            for one in of_type(translated, "AWS::Lambda::Permission").values()
            if one["Properties"]["FunctionName"] == {"Ref": "RemoveTagsEndpoint"}
        ]
        assert {one["Principal"] for one in permissions} == {"apigateway.amazonaws.com"}
        sources = [one["SourceArn"]["Fn::Sub"] for one in permissions]
        assert [source.partition("${AWS::AccountId}:")[2] for source in sources] == [
            "${RemoveTagsApi}/*/POST/v1/remove-tags",
            "${RemoveTagsApi}/*/*/v1/jobs*",
        ]

    def test_integration_hands_the_whole_request_to_the_function(
        self, methods: dict[tuple[str, str], dict[str, Any]]
    ) -> None:
        for method in methods.values():
            integration = method["x-amazon-apigateway-integration"]
            assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")
            assert "${RemoveTagsEndpoint.Arn}/invocations" in integration["uri"]["Fn::Sub"]


class TestThrottle:
    def test_every_method_of_the_only_stage_is_throttled(self, stage: dict[str, Any]) -> None:
        rate = {"Ref": "ApiCallsPerSecond"}
        assert stage["MethodSettings"] == [
            {
                "ResourcePath": "/*",
                "HttpMethod": "*",
                "ThrottlingRateLimit": rate,
                "ThrottlingBurstLimit": rate,
            }
        ]

    def test_no_deployment_makes_a_stage_of_its_own(self, translated: Template) -> None:
        for deployment in of_type(translated, "AWS::ApiGateway::Deployment").values():
            assert "StageName" not in deployment["Properties"]

    def test_rates_are_few_and_one_leaves_the_endpoint_out(self, translated: Template) -> None:
        assert allowed(translated, "ApiCallsPerSecond") == [0, 2, 5, 10, 20]
        assert translated["Parameters"]["ApiCallsPerSecond"]["Default"] == 10


class TestCondition:
    def test_nothing_of_the_endpoint_is_there_at_a_rate_of_0(self, translated: Template) -> None:
        assert translated["Conditions"]["HasApi"] == {
            "Fn::Not": [{"Fn::Equals": [{"Ref": "ApiCallsPerSecond"}, 0]}]
        }
        for section in ("Resources", "Outputs"):
            named = {
                name: one
                for name, one in translated[section].items()
                if re.search("Api|Endpoint", name)
            }
            assert named
            for name, one in named.items():
                assert one["Condition"] in ("HasApi", "HasApiAccessLogs"), name

    def test_what_is_always_there_does_not_need_the_endpoint(self, translated: Template) -> None:
        for name, one in translated["Resources"].items():
            if "Condition" not in one and name != "Monitoring":
                assert not re.search(r"RemoveTags(Api|Endpoint)", json.dumps(one)), name

    def test_access_logs_need_the_endpoint(self, translated: Template) -> None:
        first, _ = translated["Conditions"]["HasApiAccessLogs"]["Fn::And"]
        assert first == {"Condition": "HasApi"}


class TestAccessLogs:
    def test_are_off_by_default(self, translated: Template) -> None:
        assert translated["Parameters"]["ApiAccessLogs"]["Default"] == "false"

    def test_are_one_json_line_a_request_in_a_group_with_a_retention(
        self, translated: Template, stage: dict[str, Any]
    ) -> None:
        condition, setting, nothing = stage["AccessLogSetting"]["Fn::If"]
        assert (condition, nothing) == ("HasApiAccessLogs", {"Ref": "AWS::NoValue"})
        assert setting["DestinationArn"] == {"Fn::GetAtt": ["RemoveTagsApiLogGroup", "Arn"]}
        assert "\n" not in setting["Format"]
        fields = json.loads(setting["Format"])
        assert fields["requestId"] == "$context.requestId"
        assert fields["status"] == "$context.status"
        assert all(value.startswith("$context.") for value in fields.values())
        group = properties(translated, "RemoveTagsApiLogGroup")
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


class TestFunction:
    def test_gets_the_variables_that_its_code_reads(self, translated: Template) -> None:
        variables = properties(translated, "RemoveTagsEndpoint")["Environment"]["Variables"]
        given = {
            "TIMPUSH_REGION": "singapore",
            "TIMPUSH_ENDPOINT_URL": "",
            "TIMPUSH_SECRET_ID": "secret",
            "QUEUE_URL": "https://sqs.example/queue",
        }
        of_jobs = {"JOBS_BUCKET": "bucket", "JOBS_TABLE": "table"}
        read_api_settings(given)
        read_jobs_settings(of_jobs)
        assert set(variables) == set(given) | set(of_jobs) | POWERTOOLS | FOR_ALL_FUNCTIONS
        assert variables["QUEUE_URL"] == {"Ref": "RemoveTagsQueue"}

    def test_has_a_metrics_service_of_its_own(self, translated: Template) -> None:
        variables = properties(translated, "RemoveTagsEndpoint")["Environment"]["Variables"]
        service = variables["POWERTOOLS_SERVICE_NAME"]
        assert service == {"Fn::Sub": "${AWS::StackName}-endpoint"}

    def test_ends_before_api_gateway_gives_up_on_a_cold_start(self, translated: Template) -> None:
        timeout = properties(translated, "RemoveTagsEndpoint")["Timeout"]
        assert timeout + COLD_START_SECONDS <= API_GATEWAY_SECONDS

    def test_may_do_exactly_this(self, translated: Template) -> None:
        role = translated["Resources"]["RemoveTagsEndpointRole"]
        rights = {one["Sid"]: (as_list(one["Action"]), one["Resource"]) for one in statements(role)}
        for name in ("ManageNetworkInterfaces", "LeaveNetworkInterfacesToLambda"):
            assert rights.pop(name)[1] == "*"  # see test_options
        secret = {"Fn::If": ["CreateSecret", {"Ref": "UserSigSecret"}, {"Ref": "SecretArn"}]}
        assert rights == {
            "ReadSecret": (["secretsmanager:GetSecretValue"], secret),
            "DecryptSecret": (["kms:Decrypt"], {"Ref": "SecretKmsKeyArn"}),
            "UseKmsKey": (["kms:Decrypt", "kms:GenerateDataKey"], {"Ref": "KmsKeyArn"}),
            "QueueUsers": (["sqs:SendMessage"], {"Fn::GetAtt": ["RemoveTagsQueue", "Arn"]}),
            "PrepareUploads": (["s3:PutObject"], {"Fn::Sub": "${JobsBucket.Arn}/inbox/*"}),
            "ReadAndStopJobs": (
                ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"],
                {"Fn::GetAtt": ["JobsTable", "Arn"]},
            ),
            "ListJobs": (["dynamodb:Query"], {"Fn::Sub": f"${{JobsTable.Arn}}/index/{INDEX}"}),
            "WriteLogs": (
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                {"Fn::GetAtt": ["RemoveTagsEndpointLogGroup", "Arn"]},
            ),
            "SendTraces": (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
        }


def test_url_and_arn_of_the_outputs_name_the_path_of_the_api(
    translated: Template, stage: dict[str, Any]
) -> None:
    outputs = translated["Outputs"]
    name = stage["StageName"]
    assert outputs["ApiUrl"]["Value"]["Fn::Sub"].endswith(f"/{name}/v1/remove-tags")
    assert outputs["ApiArn"]["Value"]["Fn::Sub"].endswith(f"/{name}/POST/v1/remove-tags")
    assert outputs["JobsApiUrl"]["Value"]["Fn::Sub"].endswith(f"/{name}/v1/jobs")
    assert outputs["JobsApiArn"]["Value"]["Fn::Sub"].endswith(f"/{name}/*/v1/jobs*")


def test_openapi_document_has_the_path_of_the_api(
    methods: dict[tuple[str, str], dict[str, Any]],
) -> None:
    document = yaml.safe_load(Path(ROOT / "docs/openapi.yaml").read_text())
    described = {
        (path, verb)
        for path, verbs in document["paths"].items()
        for verb in verbs.keys() - {"parameters"}
    }
    assert described == set(methods)
