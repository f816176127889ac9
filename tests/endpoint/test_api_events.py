"""Every sample of a request in events/ is what API Gateway would send, and the case of its name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.api import Api, api_event

EVENTS = Path(__file__).parents[2] / "events"

# The status, and the numbers of users removed and queued, when TIMPush knows every account.
CASES: dict[str, tuple[int, int, int]] = {
    "api-one-user": (200, 1, 0),
    "api-100-users": (200, 100, 0),
    "api-101-users": (202, 0, 101),
    "api-11-tags": (202, 0, 1),
    "api-respond-async": (202, 0, 2),
    "api-expired": (200, 0, 0),
    "api-non-ascii": (200, 1, 0),
    "api-base64": (200, 1, 0),
    "api-malformed": (400, 0, 0),
    "api-no-json": (400, 0, 0),
    "api-wrong-type": (415, 0, 0),
}


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def test_every_event_of_the_api_is_tested() -> None:
    assert {path.stem for path in EVENTS.glob("api-*.json")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_event_is_answered_as_its_name_says(api: Api, name: str) -> None:
    accounts = ["用户-1", *(f"user-{number}" for number in range(1, 102))]
    api.timpush.tags = {account: set() for account in accounts}

    reply = api.send(load(name))

    counts = (reply.content.get("removed", 0), reply.content.get("queued", 0))
    assert (reply.status, *counts) == CASES[name]
    assert reply.content["requestId"] == load(name)["requestContext"]["requestId"]


@pytest.mark.parametrize("name", CASES)
def test_events_have_the_shape_that_api_gateway_sends(name: str) -> None:
    event = load(name)
    assert set(event) == set(api_event("{}"))
    assert event["multiValueHeaders"] == {key: [one] for key, one in event["headers"].items()}
    assert {"requestId", "stage", "path", "identity", "accountId"} <= set(event["requestContext"])
    assert re.fullmatch(r"0{8}-0000-4000-8000-\d{12}", event["requestContext"]["requestId"])
    assert event["requestContext"]["accountId"] == "0" * 12


def test_each_event_has_an_id_of_its_own() -> None:
    ids = [load(name)["requestContext"]["requestId"] for name in CASES]
    assert len(set(ids)) == len(ids)
