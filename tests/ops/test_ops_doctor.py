"""`doctor`: each class of fault is found, named, and comes with how to fix it."""

import io
import json
import logging
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote_plus

import boto3
import pytest
from click.testing import CliRunner

from support.environment import worker_environment
from support.ops import ROOT, Done, Operated, operated
from template.translate import Template
from timpush.settings import read_settings
from timpush_ops.cli import cli
from timpush_ops.doctor import JOB_EXECUTIONS, check_concurrency
from timpush_server import Fault, TimPushServer

HOUR = 3_600


@dataclass
class Deployed:
    """A function with its settings, its mapping and its secret, as the template makes them."""

    stack: Operated
    timpush: TimPushServer
    name: str
    mapping_id: str

    def examine(self) -> Done:
        done = self.stack.run("doctor", "--function-name", self.name)
        assert "eJ" not in done.output, "a UserSig was printed"
        return done

    def stored(self) -> str:
        found = client("secretsmanager").get_secret_value(SecretId=self.name)
        return str(found["SecretString"])

    def store_secret(self, text: str) -> None:
        client("secretsmanager").put_secret_value(SecretId=self.name, SecretString=text)

    def set_variables(self, **changed: str) -> None:
        """Change variables of the function."""
        functions = client("lambda")
        found = functions.get_function_configuration(FunctionName=self.name)
        variables = found["Environment"]["Variables"] | changed
        functions.update_function_configuration(
            FunctionName=self.name, Environment={"Variables": variables}
        )

    def set_mapping(self, **changed: Any) -> None:
        client("lambda").update_event_source_mapping(UUID=self.mapping_id, **changed)


def client(service: Any) -> Any:
    return boto3.client(service)


@pytest.fixture
def deployed(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with operated(aws_url, monkeypatch) as stack, TimPushServer() as timpush:
        name = f"worker-{uuid.uuid4().hex}"
        client("secretsmanager").create_secret(Name=name, SecretString=timpush.secret())
        create_function(name, stack, timpush.url)
        arn = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        mapping = client("lambda").create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=arn,
            ScalingConfig={"MaximumConcurrency": 4},
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        try:
            yield Deployed(stack, timpush, name, mapping["UUID"])
        finally:
            client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def create_function(name: str, stack: Operated, endpoint_url: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "")
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
    client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role["Arn"],
        Handler="app.lambda_handler",
        Code={"ZipFile": archive.getvalue()},
        Environment={
            "Variables": {
                "TIMPUSH_REGION": "singapore",
                "TIMPUSH_ENDPOINT_URL": endpoint_url,
                "TIMPUSH_SECRET_ID": name,
                "TIMPUSH_CALLS_PER_SECOND": "80",
                "WORKER_CONCURRENCY": "4",
                "QUEUE_URL": stack.queue_url,
                "DEAD_LETTER_QUEUE_URL": stack.dead_letter_queue_url,
            }
        },
    )


def faults(done: Done) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in done.output.splitlines() if "FAULT" in line]


def names(done: Done) -> list[str]:
    return [line[7:21].strip() for line in done.output.splitlines() if not line.startswith(" ")]


class TestHealthy:
    def test_every_check_is_ok(self, deployed: Deployed) -> None:
        done = deployed.examine()

        assert (done.code, faults(done)) == (0, [])
        assert names(done) == [
            *("settings", "secret", "usersig", "admin", "queue", "dead letters", "mapping"),
            *("crashes", "concurrency"),
        ]
        assert f"region singapore, endpoint {deployed.timpush.url}" in done.output
        assert "app 1400000000, identifier administrator, expires 20" in done.output
        assert "TIMPush accepted the UserSig as an admin\n" in done.output
        assert "0 messages wait, 0 in flight\n" in done.output
        assert "Enabled, at most 4 workers" in done.output

    def test_one_call_is_made_that_changes_nothing(self, deployed: Deployed) -> None:
        deployed.examine()
        [call] = deployed.timpush.received
        assert call.path == "/v4/timpush/get_tag"
        assert [account for account, _ in call.users] == ["administrator"]

    def test_the_function_is_found_by_the_stack(self, deployed: Deployed) -> None:
        template = {
            "Resources": {"Any": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {"WorkerFunctionName": {"Value": deployed.name}},
        }
        stack_name = f"stack-{uuid.uuid4().hex}"
        client("cloudformation").create_stack(
            StackName=stack_name, TemplateBody=json.dumps(template)
        )

        done = deployed.stack.run("doctor", "--stack-name", stack_name)
        lacking = deployed.stack.run("jobs", "--stack-name", stack_name)

        assert done.code == 0
        assert (lacking.code, "no output JobsTableName" in lacking.output) == (2, True)

    def test_no_log_line_at_any_level_holds_the_usersig(
        self, deployed: Deployed, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            deployed.examine()
        usersig = json.loads(deployed.stored())["usersig"]
        assert "botocore" in caplog.text
        assert usersig not in caplog.text
        assert quote_plus(usersig) not in caplog.text


class TestSettings:
    def test_a_function_that_is_not_there(self, deployed: Deployed) -> None:
        done = deployed.stack.run("doctor", "--function-name", "none")
        assert (done.code, names(done)) == (1, ["settings"])
        assert "lambda:GetFunctionConfiguration" in done.output

    def test_settings_that_the_worker_would_refuse(self, deployed: Deployed) -> None:
        deployed.set_variables(TIMPUSH_REGION="mumbai", WORKER_CONCURRENCY="0")
        done = deployed.examine()
        assert done.code == 1
        assert "TIMPUSH_REGION is unknown" in done.output
        assert "WORKER_CONCURRENCY must be from 1" in done.output
        assert "fix: deploy the template again" in done.output


class TestCredential:
    def test_a_secret_that_is_not_there(self, deployed: Deployed) -> None:
        deployed.set_variables(TIMPUSH_SECRET_ID="none")
        done = deployed.examine()
        assert faults(done)[0].startswith("secret")
        assert "ResourceNotFoundException" in done.output
        assert "secretsmanager:GetSecretValue" in done.output

    def test_the_placeholder(self, deployed: Deployed) -> None:
        deployed.store_secret('{"sdkappid": 0, "identifier": "", "usersig": ""}')
        done = deployed.examine()
        assert faults(done) == ["secret        the secret's sdkappid must be a positive integer"]
        assert "fix: store {" in done.output
        assert deployed.timpush.received == []

    def test_a_usersig_that_has_expired(self, deployed: Deployed) -> None:
        deployed.store_secret(deployed.timpush.secret(time=1_700_000_000, expire=60))
        done = deployed.examine()
        assert "the UserSig expired" in faults(done)[0]
        assert (
            "it says: app 1400000000, identifier administrator, expires 2023-11-14" in done.output
        )
        assert deployed.timpush.received == []

    def test_a_usersig_of_another_account(self, deployed: Deployed) -> None:
        fields = json.loads(deployed.timpush.secret()) | {"identifier": "somebody"}
        deployed.store_secret(json.dumps(fields))
        done = deployed.examine()
        assert "signed for another identifier" in faults(done)[0]
        assert "it says: app 1400000000, identifier administrator" in done.output

    def test_what_is_no_usersig(self, deployed: Deployed) -> None:
        fields = json.loads(deployed.timpush.secret()) | {"usersig": "eJcut-short"}
        deployed.store_secret(json.dumps(fields))
        assert "the UserSig cannot be decoded" in faults(deployed.examine())[0]

    def test_a_usersig_that_expires_soon_is_tried_all_the_same(self, deployed: Deployed) -> None:
        deployed.store_secret(deployed.timpush.secret(expire=9 * HOUR))
        done = deployed.examine()
        assert [fault.split()[0] for fault in faults(done)] == ["usersig"]
        assert "store a new one; where it is rotated" in done.output
        assert len(deployed.timpush.received) == 1

    def test_one_that_never_ends_is_no_trouble(self, deployed: Deployed) -> None:
        deployed.store_secret(deployed.timpush.secret(expire=2**52))
        assert faults(deployed.examine()) == []


class TestAdmin:
    def test_an_admin_that_has_no_account_is_one_all_the_same(self, deployed: Deployed) -> None:
        assert "administrator" not in deployed.timpush.tags
        assert faults(deployed.examine()) == []

    def test_a_usersig_signed_with_another_key(self, deployed: Deployed) -> None:
        deployed.store_secret(deployed.timpush.secret(key="0" * 64))
        done = deployed.examine()
        assert "admin         70" in faults(done)[0]
        assert "store a UserSig signed with this app's key for this identifier" in done.output

    @pytest.mark.parametrize(
        ("code", "fix"),
        [
            (60010, "make the identifier an admin"),
            (90009, "make the identifier an admin"),
            (70403, "make the identifier an admin"),
            (60026, "deploy with the TimPushRegion where the app lives"),
            (70020, "deploy with the TimPushRegion where the app lives"),
            (60020, "buy or renew the plan"),
            (90045, "enable Push for the app"),
            (70050, "then wait a minute"),
            (60021, "list the address"),
            (60016, "check TimPushRegion, and the app's plan"),
            (70009, "store a UserSig signed with this app's key"),
            (60007, "lower the budget"),
            (91000, "try again"),
            (12345, "try again"),
        ],
    )
    def test_each_refusal_says_how_to_fix_it(self, deployed: Deployed, code: int, fix: str) -> None:
        deployed.timpush.inject(Fault("code", code=code, info="said TIMPush"))

        done = deployed.examine()

        assert done.code == 1
        assert f"admin         {code}: said TIMPush" in faults(done)[0]
        assert fix in done.output

    def test_an_endpoint_out_of_reach(self, deployed: Deployed) -> None:
        deployed.timpush.inject(Fault("drop"), times=2)
        assert "see whether this machine can reach the endpoint" in deployed.examine().output

    def test_an_account_that_is_listed_as_no_admin(self, deployed: Deployed) -> None:
        deployed.timpush.account_codes["administrator"] = 90009
        assert "90009" in faults(deployed.examine())[0]


class TestQueues:
    def test_depth_and_age_are_told(self, deployed: Deployed) -> None:
        deployed.set_mapping(
            Enabled=False
        )  # moto would run the function, for which it has no means
        for _ in range(3):
            deployed.stack.sqs.send_message(QueueUrl=deployed.stack.queue_url, MessageBody="{}")
        deployed.set_mapping(Enabled=True)
        put_age(deployed, 7_300)
        done = deployed.examine()
        assert "3 messages wait, 0 in flight, the oldest is 2 h 2 min old" in done.output
        assert done.code == 0

    def test_messages_that_grow_old_are_a_fault(self, deployed: Deployed) -> None:
        put_age(deployed, 3 * 86_400)
        done = deployed.examine()
        assert "the oldest is 3 d 0 h old" in faults(done)[0]
        assert "SQS deletes them at the end of the retention period" in done.output

    def test_dead_letters_are_a_warning(self, deployed: Deployed) -> None:
        deployed.stack.add_dead_letter_of({"stranger": 70107})
        done = deployed.examine()
        assert (done.code, faults(done)) == (0, [])
        assert "warn   dead letters  1 message on the dead-letter queue\n" in done.output
        assert "fix: see which users, and why: ./ops dlq list --stack-name NAME" in done.output

    def test_a_queue_that_is_not_there(self, deployed: Deployed) -> None:
        deployed.set_variables(QUEUE_URL=f"{deployed.stack.queue_url}-gone")
        done = deployed.examine()
        assert [fault.split()[0] for fault in faults(done)] == ["queue", "mapping"]
        assert "sqs:GetQueueAttributes" in done.output


class TestMapping:
    def test_a_mapping_that_is_paused(self, deployed: Deployed) -> None:
        deployed.set_mapping(Enabled=False)
        done = deployed.examine()
        assert faults(done)[0].startswith("mapping       Disabled")
        assert "fix: ./ops resume --stack-name NAME\n" in done.output
        assert "aws lambda" not in done.output
        resumed = deployed.stack.run("resume", "--mapping-id", deployed.mapping_id)
        assert resumed.code == 0
        assert faults(deployed.examine()) == []

    def test_commands_name_the_stack_that_was_named(self, deployed: Deployed) -> None:
        deployed.set_mapping(Enabled=False)
        deployed.stack.add_dead_letter_of({"stranger": 70107})
        options = ("--function-name", deployed.name, "--stack-name", "my shop")
        done = deployed.stack.run("doctor", *options)
        assert "./ops resume --stack-name 'my shop'\n" in done.output
        assert "./ops dlq list --stack-name 'my shop'\n" in done.output

    def test_one_that_deletes_what_fails(self, deployed: Deployed) -> None:
        deployed.set_mapping(FunctionResponseTypes=[])
        done = deployed.examine()
        assert "without ReportBatchItemFailures: what fails is deleted" in faults(done)[0]
        assert "--function-response-types ReportBatchItemFailures" in done.output

    def test_more_workers_than_the_budget_is_shared_among(self, deployed: Deployed) -> None:
        deployed.set_variables(WORKER_CONCURRENCY="2")
        assert "at most 4 workers; the budget is shared among 2" in faults(deployed.examine())[0]

    def test_no_mapping_at_all(self, deployed: Deployed) -> None:
        client("lambda").delete_event_source_mapping(UUID=deployed.mapping_id)
        assert faults(deployed.examine()) == ["mapping       nothing feeds the worker"]


class TestCrashes:
    def test_an_invocation_that_crashed_lately_hides_its_messages(self, deployed: Deployed) -> None:
        put_crashes(deployed, 2)
        [fault] = faults(deployed.examine())
        assert fault.startswith("crashes       2 invocations crashed in the last 13 min")
        assert "again after 780 s" in fault


class Account:
    """Lambda's answer on the account's concurrent executions."""

    def __init__(self, quota: int, unreserved: int) -> None:
        self._limit = {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}

    def get_account_settings(self) -> Any:
        return {"AccountLimit": self._limit}


class TestConcurrency:
    @pytest.mark.parametrize(
        ("quota", "unreserved", "level", "reservable"),
        [
            (1_000, 1_000, "ok", True),
            (11, 11, "ok", False),
            (10, 10, "warn", False),  # a job's functions and others would wait for each other
            (10, 5, "fault", False),
        ],
    )
    def test_the_accounts_quota_must_suffice(
        self, quota: int, unreserved: int, level: str, reservable: bool
    ) -> None:
        settings = read_settings(worker_environment(WORKER_CONCURRENCY=4))
        check = check_concurrency(cast(Any, Account(quota, unreserved)), settings)
        assert check.level == level
        assert f"quota {quota:,}, {unreserved:,} unreserved; 4 workers" in check.detail
        assert bool(check.fix) is (level != "ok")
        assert level != "ok" or ("EndpointReservedConcurrency" in check.detail) is not reservable

    def test_with_the_defaults_the_least_quota_is_enough(self, written: Template) -> None:
        workers = written["Parameters"]["WorkerConcurrency"]["Default"]
        settings = read_settings(worker_environment(WORKER_CONCURRENCY=workers))
        assert check_concurrency(cast(Any, Account(10, 10)), settings).level == "ok"

    def test_a_job_runs_as_many_functions_as_are_counted(self) -> None:
        machine = json.loads((ROOT / "jobs/jobs.asl.json").read_text(encoding="utf-8"))
        maps = [one for one in machine["States"].values() if one["Type"] == "Map"]
        assert {one["MaxConcurrency"] for one in maps} == {JOB_EXECUTIONS}


class TestOutput:
    def test_json_holds_every_check_and_keeps_the_exit_code(self, deployed: Deployed) -> None:
        deployed.stack.add_dead_letter_of({"stranger": 70107})
        done = deployed.stack.run("doctor", "--function-name", deployed.name, "--output", "json")
        levels = {check["Name"]: check["Level"] for check in json.loads(done.stdout)}
        assert done.code == 0
        assert levels["settings"] == levels["concurrency"] == "ok"
        assert levels["dead letters"] == "warn"

        deployed.set_mapping(Enabled=False)
        done = deployed.stack.run("doctor", "--function-name", deployed.name, "--output", "json")
        [fault] = [check for check in json.loads(done.stdout) if check["Level"] == "fault"]
        assert (done.code, fault["Name"]) == (1, "mapping")
        assert fault["Fix"].startswith("./ops resume")

    def test_a_terminal_sees_green_yellow_and_red(
        self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        deployed.stack.add_dead_letter_of({"stranger": 70107})
        deployed.set_mapping(Enabled=False)
        arguments = ("doctor", "--function-name", deployed.name)

        shown = CliRunner().invoke(cli, arguments, color=True).output
        for word, colour in (("ok", 32), ("warn", 33), ("FAULT", 31)):
            assert f"\x1b[{colour}m{word}" in shown
        assert "\x1b" not in CliRunner().invoke(cli, arguments).output, "a pipe is plain"
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in CliRunner().invoke(cli, arguments, color=True).output


class TestPauseAndResume:
    def test_json_says_what_the_mapping_is(self, deployed: Deployed) -> None:
        mapping = deployed.mapping_id
        done = deployed.stack.run("pause", "--mapping-id", mapping, "--output", "json")
        assert json.loads(done.stdout) == {"MappingId": mapping, "State": "Disabled"}

    def test_the_mapping_is_disabled_and_enabled(self, deployed: Deployed) -> None:
        for command, state in (("pause", "Disabled"), ("resume", "Enabled"), ("resume", "Enabled")):
            done = deployed.stack.run(command, "--mapping-id", deployed.mapping_id)
            assert (done.code, f": {state}" in done.output) == (0, True)
            found = client("lambda").get_event_source_mapping(UUID=deployed.mapping_id)
            assert found["State"] == state

    def test_resume_says_that_messages_of_a_crash_are_hidden(self, deployed: Deployed) -> None:
        arguments = ("resume", "--mapping-id", deployed.mapping_id)
        assert "crashed" not in deployed.stack.run(*arguments).output
        put_crashes(deployed, 2)
        done = deployed.stack.run(*arguments)
        assert "2 invocations crashed in the last 13 min" in done.output
        assert done.stdout == f"mapping {deployed.mapping_id}: Enabled\n"

    def test_a_mapping_that_is_not_there_is_named(self, deployed: Deployed) -> None:
        done = deployed.stack.run("pause", "--mapping-id", str(uuid.uuid4()))
        assert done.code == 1
        assert "Error" in done.output


def put_crashes(deployed: Deployed, number: int) -> None:
    """Have CloudWatch say how many invocations crashed a minute ago."""
    client("cloudwatch").put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {
                "MetricName": "Errors",
                "Dimensions": [{"Name": "FunctionName", "Value": deployed.name}],
                "Timestamp": datetime.fromtimestamp(time.time() - 60, UTC),
                "Value": number,
            }
        ],
    )


def put_age(deployed: Deployed, seconds: float) -> None:
    """Have CloudWatch say how old the oldest message is."""
    dimension = {"Name": "QueueName", "Value": deployed.stack.queue_url.rpartition("/")[2]}
    client("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [dimension],
                "Timestamp": datetime.fromtimestamp(time.time() - 60, UTC),
                "Value": seconds,
            }
        ],
    )
