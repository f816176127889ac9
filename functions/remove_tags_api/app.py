"""Signed request -> one call to TIMPush, the rest onto the queue; the reply names each outcome.

POST /v1/remove-tags with a message body as its body; jobs.py has the routes of jobs.
docs/openapi.yaml describes every reply.
"""

import os
import time
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from remove_tags_api import jobs, reply, report
from remove_tags_api.environment import Endpoint, make_endpoint
from remove_tags_api.reply import QUEUED, TOO_LARGE, Settled, sort_users
from remove_tags_api.request import RefusedError, header, prefers_async, read_body
from timpush.errors import MalformedMessageError
from timpush.messages import Document, UserTags, parse
from timpush.queue.attributes import MAX_BYTES, REQUEST_ID, Message
from timpush.queue.sender import send
from timpush.queue.split import queue_messages
from timpush.removal.packing import MAX_TAGS, MAX_USERS, merge
from timpush.removal.single import Removed, remove_now
from timpush.settings import read_api_settings

QUEUE_SECONDS = 4.0
"""Kept free after the call, to queue what it did not settle and to reply."""
REPLY_SECONDS = 0.5
UNKNOWN = "what became of the users is not known; "

logger = Logger()
app = APIGatewayRestResolver()
app.include_router(jobs.router)


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
    preferred = prefers_async(header(app.current_event.raw_event, "prefer"))
    wanted = merge([document])
    users = [(account, list(tags)) for account, tags in wanted.items()]
    endpoint = make_endpoint(read_api_settings(os.environ))
    if preferred or len(users) > MAX_USERS or any(len(tags) > MAX_TAGS for _, tags in users):
        removal = Removed(dict.fromkeys(wanted, QUEUED))
    else:
        until = deadline - QUEUE_SECONDS
        removal = remove_now(users, document.not_after, endpoint.caller, until)
    settled = settle(users, removal, document, endpoint, deadline - REPLY_SECONDS)
    report.report(removal, settled, endpoint, time.monotonic() - started)
    return reply.make_reply(settled, preferred, app.context["request_id"])


def settle(
    users: list[UserTags],
    removal: Removed,
    document: Document,
    endpoint: Endpoint,
    deadline: float,
) -> Settled:
    """Queue the users that are to be retried, and sort all users by what became of them.

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
    return sort_users(outcomes, unaccounted)


def enqueue(messages: list[Message], endpoint: Endpoint, deadline: float) -> set[int]:
    """Send messages to the queue; the positions of those that SQS did not confirm."""
    if not messages:
        return set()
    return send(endpoint.sqs, endpoint.settings.queue_url, messages, deadline)


@app.exception_handler(RefusedError)  # type: ignore[untyped-decorator]
def refuse(error: RefusedError) -> Response[str]:
    """415 and 413."""
    report.log_refused(error.status, error.detail)
    return reply.problem(error.status, error.detail, app.context["request_id"])


@app.exception_handler(MalformedMessageError)  # type: ignore[untyped-decorator]
def refuse_malformed(error: MalformedMessageError) -> Response[str]:
    """400, with every fault."""
    report.log_refused(HTTPStatus.BAD_REQUEST, error.message)
    return reply.malformed(error, app.context["request_id"])


@app.not_found
def refuse_path(_error: NotFoundError) -> Response[str]:
    """404: only where no API Gateway stands in front."""
    detail = "there are /v1/remove-tags (POST) and /v1/jobs (GET, POST, DELETE)"
    return reply.problem(HTTPStatus.NOT_FOUND, detail, app.context["request_id"])


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def fail(_error: Exception) -> Response[str]:
    """500, without internals."""
    logger.exception("unexpected error")
    users = "" if app.current_event.path.startswith(jobs.PATH) else UNKNOWN
    detail = f"unexpected error: {users}it is safe to send again"
    return reply.problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, app.context["request_id"])
