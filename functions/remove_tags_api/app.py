"""Signed request -> one call to TIMPush, the rest onto the queue; the reply tells each user's fate.

POST /v1/remove-tags with a message body as its body. docs/openapi.yaml describes every reply.
"""

import base64
import json
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from botocore.config import Config

from timpush.errors import (
    ConfigurationError,
    CredentialsError,
    MalformedMessageError,
    SecretError,
    TimPushError,
)
from timpush.messages import Document, UserTags, parse
from timpush.metrics import (
    CALL_LATENCY,
    ENDPOINT,
    NAMESPACE,
    USERSIG_SECONDS_LEFT,
    counters,
)
from timpush.outcomes import Outcome
from timpush.queue.sender import MAX_BYTES, REQUEST_ID, Message, send
from timpush.queue.split import queue_messages
from timpush.removal.packing import MAX_TAGS, MAX_USERS, merge
from timpush.removal.single import Caller, Removed, remove_now
from timpush.settings import ApiSettings, read_api_settings
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credentials
from timpush.tencent.redaction import guard_logs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BODY_BYTES = 5 * 1024 * 1024
QUEUE_SECONDS = 4.0
"""Kept free after the call, to queue what it did not settle and to reply."""
REPLY_SECONDS = 0.5
RETRY_AFTER_SECONDS = 5
ASYNC = "respond-async"
CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}
)
"""Of the AWS clients: the defaults would outlast the function."""
TOO_LARGE = Outcome("rejected", "TooLarge", "the account is too long for a message")
QUEUED = Outcome("retry", "accepted")

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)
app = APIGatewayRestResolver()


@dataclass
class Endpoint:
    """What this environment keeps between requests; `cold` until the first has been answered."""

    settings: ApiSettings
    caller: Caller
    cold: bool = True

    @cached_property
    def sqs(self) -> "SQSClient":
        """Made when something is to be queued: a start in which all is settled does without."""
        return boto3.client("sqs", config=CONFIG)


@dataclass(slots=True)
class Settled:
    """What became of the users of a request; each is in exactly one of the four."""

    removed: int = 0
    failed: dict[str, Outcome] = field(default_factory=dict)
    queued: Counter[str] = field(default_factory=Counter)  # by reason
    unaccounted: list[str] = field(default_factory=list)


class RefusedError(Exception):
    """The request cannot be read; nothing was sent."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of the API."""
    function_request_id = getattr(context, "aws_request_id", None)
    # API Gateway's id where there is one: sam local and tests may call without it.
    request_id = (event.get("requestContext") or {}).get("requestId") or str(function_request_id)
    logger.append_keys(request_id=request_id, function_request_id=function_request_id)
    app.context["request_id"] = request_id
    return app.resolve(event, context)


@app.post("/v1/remove-tags")
def remove_tags() -> Response[str]:
    """Remove what can be removed by one call, queue the rest."""
    started = time.monotonic()
    deadline = started + app.lambda_context.get_remaining_time_in_millis() / 1000
    document = parse(read_body(app.current_event.raw_event))
    wanted = merge([document])
    users = [(account, list(tags)) for account, tags in wanted.items()]
    preferred = prefers_async(header(app.current_event.raw_event, "prefer"))
    endpoint = make_endpoint(read_api_settings(os.environ))
    if preferred or len(users) > MAX_USERS or any(len(tags) > MAX_TAGS for _, tags in users):
        removal = Removed(dict.fromkeys(wanted, QUEUED))
    else:
        until = deadline - QUEUE_SECONDS
        removal = remove_now(users, document.not_after, endpoint.caller, until)
    settled = settle(users, removal, document, endpoint, deadline - REPLY_SECONDS)
    report(removal, settled, endpoint, time.monotonic() - started)
    return make_reply(settled, preferred)


@lru_cache(maxsize=1)
def make_endpoint(settings: ApiSettings) -> Endpoint:
    """Build what the environment keeps."""
    guard_logs()
    secrets = Credentials(boto3.client("secretsmanager", config=CONFIG), settings.secret_id)
    caller = Caller(TimPushClient(settings.endpoint_url, connections=1), secrets)
    return Endpoint(settings, caller)


# The request


def header(event: Mapping[str, Any], name: str) -> str:
    """The header `name` (in lower case), however it was sent; several are one list."""
    values = [
        value
        for key, found in (event.get("multiValueHeaders") or {}).items()
        if key.lower() == name
        for value in found
    ]
    single = [v for key, v in (event.get("headers") or {}).items() if key.lower() == name]
    return ", ".join(values or single)


def prefers_async(prefer: str) -> bool:
    """Whether a Prefer header (RFC 7240) holds respond-async among its preferences."""
    for preference in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', prefer):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == ASYNC and value.strip() in ("", '""'):
            return True
    return False


def read_body(event: Mapping[str, Any]) -> str:
    """The body as text.

    Raises:
        RefusedError: it is of another type than JSON, or too large.
        MalformedMessageError: it is no text in UTF-8.
    """
    if header(event, "content-type").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(HTTPStatus(415), "Content-Type must be application/json")
    body = event.get("body") or ""
    try:
        encoded = event.get("isBase64Encoded")
        data = base64.b64decode(body, validate=True) if encoded else body.encode()
        if len(data) > MAX_BODY_BYTES:
            detail = f"the body must be at most {MAX_BODY_BYTES:,} bytes: send it in parts"
            raise RefusedError(HTTPStatus(413), detail)
        return data.decode()
    except ValueError:
        raise MalformedMessageError([("", "must be JSON in UTF-8")]) from None


# What becomes of the users


def settle(
    users: list[UserTags],
    removal: Removed,
    document: Document,
    endpoint: Endpoint,
    deadline: float,
) -> Settled:
    """Queue whoever is handed back, and tell what became of each user.

    `deadline` is in seconds of the monotonic clock.
    """
    outcomes = dict(removal.outcomes)
    rest = [(account, tags) for account, tags in users if outcomes[account].state == "retry"]
    attributes = {REQUEST_ID: app.context["request_id"]}
    messages = list(queue_messages(rest, document.not_after, attributes))
    unsent = enqueue([message for message, _ in messages], endpoint, deadline)
    unaccounted: dict[str, None] = {}
    for position in sorted(unsent):
        message, accounts = messages[position]
        if message.size() > MAX_BYTES:
            outcomes.update(dict.fromkeys(accounts, TOO_LARGE))
        else:
            unaccounted.update(dict.fromkeys(accounts))
    return count(outcomes, unaccounted)


def enqueue(messages: list[Message], endpoint: Endpoint, deadline: float) -> set[int]:
    """Send messages to the queue; the positions of those that SQS did not confirm."""
    if not messages:
        return set()
    return send(endpoint.sqs, endpoint.settings.queue_url, messages, deadline)


def count(outcomes: Mapping[str, Outcome], unaccounted: Mapping[str, None]) -> Settled:
    """Sort the users into the four ends there are."""
    settled = Settled(unaccounted=list(unaccounted))
    for account, outcome in outcomes.items():
        if account in unaccounted:
            continue
        if outcome.state == "removed":
            settled.removed += 1
        elif outcome.state == "rejected":
            settled.failed[account] = outcome
        else:
            settled.queued[str(outcome.code)] += 1
    return settled


def report(removal: Removed, settled: Settled, endpoint: Endpoint, seconds: float) -> None:
    """One summary line and the metrics; why the call failed in a line of its own."""
    if removal.error:
        log_fault(removal.error)
    failed = Counter(str(outcome.code) for outcome in settled.failed.values())
    queued = settled.queued.total()
    log = logger.error if settled.unaccounted else logger.info
    log(
        "request settled",
        extra={
            "users": len(removal.outcomes),
            "calls": removal.counts["Calls"],
            "slowest_call_ms": round((removal.seconds or 0.0) * 1000),
            "removed": settled.removed,
            "failed": dict(failed),
            "queued": dict(settled.queued),
            "unaccounted": len(settled.unaccounted),
            "duration_ms": round(seconds * 1000),
        },
    )
    counts = Counter(removal.counts)
    counts["UsersRemoved"], counts["UsersFailed"] = settled.removed, failed.total()
    counts["UsersQueued"], counts["UsersUnaccounted"] = queued, len(settled.unaccounted)
    counts["ColdStarts"], endpoint.cold = int(endpoint.cold), False
    measure(removal, counts, endpoint.caller.credentials.seconds_left())


def measure(removal: Removed, counts: Counter[str], usersig_seconds_left: float | None) -> None:
    """Emit the metrics; `usersig_seconds_left` is None while the secret was not read."""
    for name in counters(ENDPOINT, counts):
        metrics.add_metric(name, ENDPOINT[name].unit, counts[name])
    if removal.seconds is not None:
        metrics.add_metric(CALL_LATENCY, ENDPOINT[CALL_LATENCY].unit, round(removal.seconds * 1000))
    if usersig_seconds_left is not None:
        unit = ENDPOINT[USERSIG_SECONDS_LEFT].unit
        metrics.add_metric(USERSIG_SECONDS_LEFT, unit, usersig_seconds_left)
    metrics.flush_metrics()


def log_fault(error: TimPushError) -> None:
    """Why the call failed, or was not made; an error when somebody has to mend something."""
    somebody = isinstance(error, SecretError | CredentialsError | ConfigurationError)
    log = logger.error if somebody else logger.warning
    extra = {
        "error_class": getattr(error, "label", "credentials"),
        "error_code": error.code,
        "error_info": error.message,
        "meaning": getattr(error, "meaning", ""),
        "times": 1,
    }
    log("the call failed or was not made", extra=extra)


def log_refused(status: HTTPStatus, reason: str) -> None:
    """A request of which nothing was sent; the reason names places, not what stands there."""
    logger.info("request refused", extra={"status": int(status), "reason": reason[:500]})


# The reply


def make_reply(settled: Settled, preferred: bool) -> Response[str]:
    """200: settled. 202: something is queued. 503: something could not be queued."""
    document: dict[str, Any] = {
        "removed": settled.removed,
        "failed": [
            {"To_Account": account, "ErrorCode": outcome.code, "ErrorInfo": outcome.text}
            for account, outcome in settled.failed.items()
        ],
        "queued": settled.queued.total(),
    }
    if settled.unaccounted:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "not every user could be queued: send those in unaccounted again",
            document | {"unaccounted": settled.unaccounted},
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    status = HTTPStatus.ACCEPTED if settled.queued else HTTPStatus.OK
    headers = {"Preference-Applied": ASYNC} if preferred else {}
    return respond(status, document, "application/json", headers)


def problem(
    status: HTTPStatus,
    detail: str,
    extra: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[str]:
    """A problem document (RFC 9457)."""
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
    }
    return respond(status, document | (extra or {}), "application/problem+json", headers or {})


def respond(
    status: HTTPStatus, document: dict[str, Any], content_type: str, headers: dict[str, str]
) -> Response[str]:
    """A reply in JSON that holds the request id."""
    full = {"requestId": app.context["request_id"]} | document
    body = json.dumps(full, ensure_ascii=False, separators=(",", ":"))
    return Response(int(status), content_type, body, headers)


@app.exception_handler(RefusedError)  # type: ignore[untyped-decorator]
def refuse(error: RefusedError) -> Response[str]:
    """415 and 413."""
    log_refused(error.status, error.detail)
    return problem(error.status, error.detail)


@app.exception_handler(MalformedMessageError)  # type: ignore[untyped-decorator]
def refuse_malformed(error: MalformedMessageError) -> Response[str]:
    """400, with every fault."""
    log_refused(HTTPStatus.BAD_REQUEST, error.message)
    errors = [{"pointer": pointer, "detail": rule} for pointer, rule in error.faults]
    return problem(
        HTTPStatus.BAD_REQUEST, "the body breaks the rules; nothing was sent", {"errors": errors}
    )


@app.not_found
def refuse_path(_error: NotFoundError) -> Response[str]:
    """404: only where no API Gateway stands in front."""
    return problem(HTTPStatus.NOT_FOUND, "there is POST /v1/remove-tags")


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def fail(_error: Exception) -> Response[str]:
    """500, without internals."""
    logger.exception("unexpected error")
    detail = "unexpected error: what became of the users is not known; it is safe to send again"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
