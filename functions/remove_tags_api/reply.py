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
MAX_REPLY_BYTES = 6_000_000
"""Of a body as JSON within JSON, which is how Lambda sends it on: a quotation mark of an account
takes four bytes then. Either list of accounts may take half of it. Lambda allows 6 MB (6,291,556
bytes) with the headers.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (2026-11).
"""
MAX_SHOWN = 1_000
"""Characters of an account, and of Tencent's text, in a reply that would be too large."""
TOO_LARGE = Outcome("rejected", "TooLarge", "the account is too long for a message")
QUEUED = Outcome("retry", "accepted")

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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
    document = {
        "removed": settled.removed,
        "failed": failed_rows(settled.failed),
        "queued": settled.queued.total(),
    }
    if settled.unaccounted:
        return not_queued(document, settled.unaccounted, request_id)
    status = HTTPStatus.ACCEPTED if settled.queued else HTTPStatus.OK
    headers = {"Preference-Applied": ASYNC} if preferred else {}
    return respond(status, document, "application/json", request_id, headers)


def failed_rows(failed: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """The users that can never succeed. Where they are too large, accounts are truncated."""
    rows: list[dict[str, Any]] = [
        {"To_Account": account, "ErrorCode": outcome.code, "ErrorInfo": outcome.text}
        for account, outcome in failed.items()
    ]
    if not fits(rows, MAX_REPLY_BYTES // 2):
        for row in rows:
            row["ErrorInfo"] = row["ErrorInfo"][:MAX_SHOWN]
            if len(row["To_Account"]) > MAX_SHOWN:
                row["To_Account"], row["Truncated"] = row["To_Account"][:MAX_SHOWN], True
    return rows


def not_queued(document: dict[str, Any], unaccounted: list[str], request_id: str) -> Response[str]:
    """503: names the users to send again, or says that all are, if they are too many to name.

    A part of them is never named: a client that sends it again would lose the others.
    """
    detail = "not every user could be queued: send those in unaccounted again"
    named: dict[str, Any] = {"unaccounted": unaccounted}
    if not fits(unaccounted, MAX_REPLY_BYTES // 2):
        detail = "not every user could be queued: send the whole request again, or in parts"
        named = {"unaccountedUsers": len(unaccounted)}
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, request_id, document | named, headers)


def fits(value: Any, max_bytes: int) -> bool:
    """Whether a part of a reply takes at most so many bytes once Lambda has encoded it again."""
    return len(json.dumps(encode(value))) <= max_bytes


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
    return Response(int(status), content_type, encode(document), headers)
