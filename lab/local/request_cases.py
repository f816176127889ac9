"""The requests that the local run sends to the endpoint, and what must come of them."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from local.endpoint import Answer, post
from timpush_server import TimPushServer


class Case(NamedTuple):
    """A request, the status it must get, and whether the reply is as it must be."""

    name: str
    body: Any
    options: dict[str, Any]
    status: int
    fits: Callable[[Any], bool]


KNOWN = {"To_Account": "request-user", "Tags": ["gold"]}
UNKNOWN = {"To_Account": "request-unknown", "Tags": ["gold"]}
LATER: dict[str, Any] = {"To_Account": "request-later", "Tags": ["gold"]}
CASES = (
    Case(
        "settled",
        {"UserTags": [KNOWN, UNKNOWN]},
        {},
        200,
        lambda reply: (reply["removed"], len(reply["failed"]), reply["queued"]) == (1, 1, 0),
    ),
    Case(
        "queued",
        {"UserTags": [LATER]},
        {"Prefer": "respond-async"},
        202,
        lambda reply: (reply["removed"], reply["queued"]) == (0, 1),
    ),
    Case(
        "malformed",
        {"UserTags": [{"To_Account": "request-user", "Tags": []}]},
        {},
        400,
        lambda reply: reply["errors"][0]["pointer"] == "/UserTags/0/Tags",
    ),
    Case("unsigned", {"UserTags": [KNOWN]}, {"signed": False}, 403, bool),
)


def send_requests(
    endpoint_url: str, api_id: str, timpush: TimPushServer, say: Callable[[str], None]
) -> Iterator[str]:
    """Send each case and show its reply; yields what is not as expected."""
    timpush.tags.update({"request-user": {"gold", "kept"}, "request-later": {"gold", "kept"}})
    say("\nrequests to the endpoint:")
    for case in CASES:
        answer = post(endpoint_url, api_id, case.body, **case.options)
        say(f"  {case.name:<10} {answer.status}  {json.dumps(answer.content, ensure_ascii=False)}")
        if answer.status != case.status or not fits(case, answer):
            yield f"the {case.name} request got {answer.status}: {answer.content}"
    if timpush.tags["request-user"] != {"kept"}:
        yield "the settled request left the tag"


def fits(case: Case, answer: Answer) -> bool:
    """Whether the reply holds what it must; one of another shape does not."""
    try:
        return case.fits(answer.content)
    except (LookupError, TypeError):
        return False
