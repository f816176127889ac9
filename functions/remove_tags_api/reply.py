"""The replies to requests. docs/openapi.yaml describes them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response

from remove_tags_api.request import ASYNC
from timpush.errors import MalformedMessageError
from timpush.outcomes import Outcome

RETRY_AFTER_SECONDS = 5
TOO_LARGE = Outcome("rejected", "TooLarge", "the account is too long for a message")
QUEUED = Outcome("retry", "accepted")


@dataclass(slots=True)
class Settled:
    """What became of the users of a request; each is in exactly one of the four."""

    removed: int = 0
    failed: dict[str, Outcome] = field(default_factory=dict)
    queued: Counter[str] = field(default_factory=Counter)  # by reason
    unaccounted: list[str] = field(default_factory=list)


def sort_users(outcomes: Mapping[str, Outcome], unaccounted: Mapping[str, None]) -> Settled:
    """Sort the users by what became of them; each is in exactly one of the four."""
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


def make_reply(settled: Settled, preferred: bool, request_id: str) -> Response[str]:
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
            request_id,
            document | {"unaccounted": settled.unaccounted},
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    status = HTTPStatus.ACCEPTED if settled.queued else HTTPStatus.OK
    headers = {"Preference-Applied": ASYNC} if preferred else {}
    return respond(status, document, "application/json", request_id, headers)


def malformed(error: MalformedMessageError, request_id: str) -> Response[str]:
    """400, with every fault."""
    errors = [{"pointer": pointer, "detail": rule} for pointer, rule in error.faults]
    detail = "the body breaks the rules; nothing was sent"
    return problem(HTTPStatus.BAD_REQUEST, detail, request_id, {"errors": errors})


def problem(
    status: HTTPStatus,
    detail: str,
    request_id: str,
    extra: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[str]:
    """A problem document (RFC 9457)."""
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
    } | (extra or {})
    return respond(status, document, "application/problem+json", request_id, headers or {})


def respond(
    status: HTTPStatus,
    document: dict[str, Any],
    content_type: str,
    request_id: str,
    headers: dict[str, str],
) -> Response[str]:
    """A reply in JSON that holds the request id."""
    return json_response(status, {"requestId": request_id} | document, content_type, headers)


def json_response(
    status: HTTPStatus, document: Any, content_type: str, headers: dict[str, str]
) -> Response[str]:
    """A reply in JSON."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(int(status), content_type, body, headers)
