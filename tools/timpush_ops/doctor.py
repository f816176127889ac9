"""Checks from the function's settings to TIMPush itself; each says what it found and how to fix it.

Nothing is changed: the one call to TIMPush asks for the tags of the admin account.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from timpush.errors import (
    CallError,
    ConfigurationError,
    CredentialsError,
    InputError,
    RateLimitError,
    SecretError,
    SettingsError,
    UserSigError,
)
from timpush.settings import USERSIG_LOW_SECONDS, Settings, read_settings
from timpush.tencent import usersig
from timpush.tencent.client import TimPushClient
from timpush.tencent.codes import explain
from timpush.tencent.credentials import Credential, parse_secret, read_secret
from timpush_ops.output import plural

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CALL_SECONDS = 8.0
IN_FLIGHT_HIGH = 100_000
"""SQS delivers nothing more at about 120,000 messages in flight."""

HIDDEN_SECONDS = 780
"""The queue's visibility timeout: messages of an invocation that crashed come back after it."""
OTHER_EXECUTIONS = 2
"""One request to the endpoint, and the rotation."""
JOB_EXECUTIONS = 5
"""What one job has running at once, at most: `MaxConcurrency` in jobs/jobs.asl.json."""
LEAST_UNRESERVED = 100
"""Lambda lets no reservation go below it (`configuration-concurrency`, 2026-11)."""

STORE = (
    'store {"sdkappid": ..., "identifier": ..., "usersig": ...} in the secret; '
    'docs/deploy.md, "Store the credentials"'
)
FIX_CODES = {
    60006: "the secret's sdkappid is no app of Tencent's: store the right one",
    60010: "make the identifier an admin of the app in Tencent's console",
    60020: "buy or renew the plan in Tencent's console; a new one takes some minutes",
    60021: "Tencent takes calls of this app from listed addresses only: list the address",
    60026: "deploy with the TimPushRegion where the app lives, then ./ops rotate --stack-name NAME",
    60028: "the trial edition's calls of the day are used up: wait, or buy a plan",
    70001: "store a UserSig that has not expired",
    70016: "deploy with the TimPushRegion where the app lives, or store the right sdkappid",
    70020: "deploy with the TimPushRegion where the app lives, or store the right sdkappid",
    70050: "store the right UserSig, then wait a minute",
    70403: "make the identifier an admin of the app in Tencent's console",
    80005: "renew the plan in Tencent's console",
    90009: "make the identifier an admin of the app in Tencent's console",
    90045: "enable Push for the app in Tencent's console",
}
FIX_CLASSES: dict[type[CallError], str] = {
    CredentialsError: "store a UserSig signed with this app's key for this identifier",
    ConfigurationError: "check TimPushRegion, and the app's plan and Push in Tencent's console",
    RateLimitError: "other calls use up the app's limit: try again; if it stays, lower the budget",
    CallError: "try again; if it stays, see whether this machine can reach the endpoint at all",
}


Level = Literal["ok", "warn", "fault"]


class Check(NamedTuple):
    """What one check found; `fix` says what to do when it is not ok; in its commands NAME is the
    stack's.

    A warning is something to look at that is no fault of the set-up.
    """

    name: str
    level: Level
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Clients:
    """The services that the checks ask."""

    functions: "LambdaClient"
    secrets: "SecretsManagerClient"
    sqs: "SQSClient"
    cloudwatch: "CloudWatchClient"


def examine(clients: Clients, function_name: str, now: float) -> Iterator[Check]:
    """Do the checks in the order in which faults hide each other. `now` is in Unix seconds."""
    try:
        configuration = clients.functions.get_function_configuration(FunctionName=function_name)
        variables = configuration.get("Environment", {}).get("Variables", {})
        settings = read_settings(variables)
    except (ClientError, BotoCoreError) as error:
        yield _denied("settings", error, "lambda:GetFunctionConfiguration")
        return
    except SettingsError as error:
        fix = "deploy the template again; do not change variables by hand"
        yield Check("settings", "fault", error.message, fix)
        return
    yield show_settings(settings, variables)
    yield from examine_credential(clients.secrets, settings, now)
    yield _attempt("queue", "sqs:GetQueueAttributes", check_queue, clients, settings, now)
    yield _attempt("dead letters", "sqs:GetQueueAttributes", check_dead_letters, clients, settings)
    right = "lambda:ListEventSourceMappings and sqs:GetQueueAttributes"
    yield _attempt("mapping", right, check_mapping, clients, function_name, settings)
    yield check_crashes(clients.cloudwatch, function_name, now)
    yield check_concurrency(clients.functions, settings)


def show_settings(settings: Settings, variables: Mapping[str, str]) -> Check:
    """The worker's own reader found no fault; this says what it read."""
    proxy = f", endpoint {settings.endpoint_url}" if variables.get("TIMPUSH_ENDPOINT_URL") else ""
    detail = (
        f"region {variables['TIMPUSH_REGION']}{proxy}, "
        f"{settings.calls_per_second} calls/s over {plural(settings.concurrency, 'worker')}"
    )
    return Check("settings", "ok", detail)


def examine_credential(
    secrets: "SecretsManagerClient", settings: Settings, now: float
) -> Iterator[Check]:
    """The secret, what its UserSig says, and whether TIMPush takes it; stops at the first fault."""
    try:
        text = read_secret(secrets, settings.secret_id)
    except SecretError as error:
        fix = "see that it exists here, and that you have secretsmanager:GetSecretValue on it"
        yield Check("secret", "fault", error.message, fix)
        return
    try:
        credential = parse_secret(text, now)
    except UserSigError as error:
        yield Check("secret", "ok", f"{settings.secret_id} can be read")
        yield Check("usersig", "fault", f"{error.message}{_claims(text)}", STORE)
        return
    except SecretError as error:
        yield Check("secret", "fault", error.message, STORE)
        return
    yield Check("secret", "ok", f"{settings.secret_id} can be read")
    yield check_usersig(credential, now)
    client = TimPushClient(settings.endpoint_url, connections=1)
    yield check_admin(client, credential, time.monotonic() + CALL_SECONDS)


def check_usersig(credential: Credential, now: float) -> Check:
    """Whether it lives long enough."""
    left = credential.expires_at - now
    detail = (
        f"app {credential.sdkappid}, identifier {credential.identifier}, "
        f"expires {_moment(credential.expires_at)}, in {_span(left)}"
    )
    if left < USERSIG_LOW_SECONDS:
        fix = "store a new one; where it is rotated, see why the rotation failed"
        return Check("usersig", "fault", detail, fix)
    return Check("usersig", "ok", detail)


def check_admin(client: TimPushClient, credential: Credential, deadline: float) -> Check:
    """One call that needs an admin and changes nothing. `deadline` is of the monotonic clock."""
    try:
        failures = client.get_tag([credential.identifier], credential, deadline)
        for error in failures.values():
            raise error
    except InputError:  # the account has no tags to show: TIMPush accepted the UserSig
        pass
    except CallError as error:
        return Check("admin", "fault", explain(error), fix_call(error))
    return Check("admin", "ok", "TIMPush accepted the UserSig as an admin")


def fix_call(error: CallError) -> str:
    """What to do about it: by its code, else by its class."""
    if isinstance(error.code, int) and error.code in FIX_CODES:
        return FIX_CODES[error.code]
    return next(fix for kind, fix in FIX_CLASSES.items() if isinstance(error, kind))


def check_queue(clients: Clients, settings: Settings, now: float) -> Check:
    """How much waits, and whether it waits too long."""
    url = settings.queue_url
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    counts: Any = attributes["Attributes"]
    waiting, flying = (int(counts[name]) for name in _DEPTHS)
    age = oldest_seconds(clients.cloudwatch, url, now)
    shown = "" if age is None else f", the oldest is {_span(age)} old"
    waits = "waits" if waiting == 1 else "wait"
    detail = f"{plural(waiting, 'message')} {waits}, {flying:,} in flight{shown}"
    if flying >= IN_FLIGHT_HIGH:
        fix = "pause the mapping until what holds the messages up is fixed"
        return Check("queue", "fault", detail, fix)
    if age is not None and age > int(counts["MessageRetentionPeriod"]) / 2:
        fix = "fix what holds them up: SQS deletes them at the end of the retention period"
        return Check("queue", "fault", detail, fix)
    return Check("queue", "ok", detail)


def oldest_seconds(cloudwatch: "CloudWatchClient", queue_url: str, now: float) -> float | None:
    """The age of the oldest message; None when CloudWatch has no figure or may not be asked."""
    try:
        reply = cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": queue_url.rpartition("/")[2]}],
            StartTime=datetime.fromtimestamp(now - 900, UTC),
            EndTime=datetime.fromtimestamp(now, UTC),
            Period=60,
            Statistics=["Maximum"],
        )
    except (ClientError, BotoCoreError):
        return None
    points = sorted(reply["Datapoints"], key=lambda point: point["Timestamp"])
    return points[-1]["Maximum"] if points else None


def check_dead_letters(clients: Clients, settings: Settings) -> Check:
    """Whether the dead-letter queue is empty."""
    reply = clients.sqs.get_queue_attributes(
        QueueUrl=settings.dead_letter_queue_url, AttributeNames=["All"]
    )
    counts: Any = reply["Attributes"]
    dead_letters = sum(int(counts[name]) for name in _DEPTHS)
    detail = f"{plural(dead_letters, 'message')} on the dead-letter queue"
    if dead_letters:
        fix = "see which users, and why: ./ops dlq list --stack-name NAME"
        return Check("dead letters", "warn", detail, fix)
    return Check("dead letters", "ok", detail)


def check_mapping(clients: Clients, function_name: str, settings: Settings) -> Check:
    """Whether the queue feeds the function as the template says."""
    reply = clients.sqs.get_queue_attributes(
        QueueUrl=settings.queue_url, AttributeNames=["QueueArn"]
    )
    mappings = clients.functions.list_event_source_mappings(
        FunctionName=function_name, EventSourceArn=reply["Attributes"]["QueueArn"]
    )["EventSourceMappings"]
    if not mappings:
        return Check("mapping", "fault", "nothing feeds the worker", "deploy the template again")
    mapping: Mapping[str, Any] = mappings[0]
    uuid, state = mapping["UUID"], mapping.get("State", "")
    concurrency = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
    workers = f"at most {plural(concurrency, 'worker')}" if concurrency else "any number of workers"
    detail = f"{state}, {workers}"
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        detail += ", without ReportBatchItemFailures: what fails is deleted"
        fix = (
            f"aws lambda update-event-source-mapping --uuid {uuid} "
            "--function-response-types ReportBatchItemFailures"
        )
        return Check("mapping", "fault", detail, fix)
    if concurrency != settings.concurrency:
        detail += f"; the budget is shared among {settings.concurrency}"
        return Check("mapping", "fault", detail, "deploy the template again with WorkerConcurrency")
    if state != "Enabled":
        return Check("mapping", "fault", detail, "./ops resume --stack-name NAME")
    return Check("mapping", "ok", detail)


def check_crashes(cloudwatch: "CloudWatchClient", function_name: str, now: float) -> Check:
    """Whether invocations crashed lately, whose messages are still hidden."""
    try:
        reply = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": function_name}],
            StartTime=datetime.fromtimestamp(now - HIDDEN_SECONDS, UTC),
            EndTime=datetime.fromtimestamp(now, UTC),
            Period=60,
            Statistics=["Sum"],
        )
    except (ClientError, BotoCoreError):
        return Check("crashes", "ok", "unknown: no cloudwatch:GetMetricStatistics")
    crashed = round(sum(point["Sum"] for point in reply["Datapoints"]))
    detail = f"{plural(crashed, 'invocation')} crashed in the last {HIDDEN_SECONDS // 60} min"
    if crashed:
        detail += f"; SQS delivers their messages again after {HIDDEN_SECONDS} s"
        return Check("crashes", "fault", detail, "read the ERROR lines of the worker's log")
    return Check("crashes", "ok", detail)


def check_concurrency(functions: "LambdaClient", settings: Settings) -> Check:
    """Whether the account's concurrent executions suffice; new accounts may have 10."""
    try:
        limit = functions.get_account_settings()["AccountLimit"]
        quota, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    except (ClientError, BotoCoreError, KeyError):
        return Check("concurrency", "ok", "unknown: no lambda:GetAccountSettings")
    need = settings.concurrency + OTHER_EXECUTIONS
    detail = (
        f"quota {quota:,}, {free:,} unreserved; {plural(settings.concurrency, 'worker')}, "
        f"the endpoint and the rotation need {need} or more, a job {JOB_EXECUTIONS} more"
    )
    fix = "ask for a higher quota of Lambda's concurrent executions in Service Quotas"
    if free < need:
        return Check("concurrency", "fault", detail, fix)
    if free < need + JOB_EXECUTIONS:
        return Check("concurrency", "warn", detail, fix)
    if free < LEAST_UNRESERVED:
        detail += "; too few for EndpointReservedConcurrency"
    return Check("concurrency", "ok", detail)


_DEPTHS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def _attempt(name: str, right: str, check: Callable[..., Check], *arguments: Any) -> Check:
    try:
        return check(*arguments)
    except (ClientError, BotoCoreError) as error:
        return _denied(name, error, right)


def _denied(name: str, error: Exception, right: str) -> Check:
    return Check(name, "fault", str(error), f"see that it exists here, and that you have {right}")


def _claims(text: str) -> str:
    """What the secret's UserSig says of itself, as far as it says anything."""
    try:
        claims = usersig.decode(json.loads(text)["usersig"])
    except UserSigError:
        return ""
    return (
        f" (it says: app {claims.sdkappid}, identifier {claims.identifier}, "
        f"expires {_moment(claims.expires_at)})"
    )


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):  # no calendar goes that far
        return f"at Unix second {seconds}"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = minutes // 1_440, minutes % 1_440 // 60
    return f"{days:,} d {hours} h" if days else f"{hours} h {minutes % 60} min"
