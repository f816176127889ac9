"""docs/openapi.yaml says what the endpoint does: each reply, each example, and which bodies."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from remove_tags_api.request import MAX_BODY_BYTES
from support import openapi
from support.api import Api, Reply, document, losing, users
from support.examples import EXAMPLES
from support.openapi import SPEC, conforms

PATH = "/v1/remove-tags"
OPERATION = SPEC["paths"][PATH]["post"]
OF_API_GATEWAY = {"403", "429", "504"}


def check(reply: Reply) -> None:
    openapi.check(reply, PATH, "post")


def test_document_is_valid() -> None:
    validate(SPEC)


def test_document_asks_for_a_signature() -> None:
    ((scheme, _),) = SPEC["security"][0].items()
    assert len(SPEC["security"]) == 1
    described = SPEC["components"]["securitySchemes"][scheme]
    assert described["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert "security" not in OPERATION


def settled(api: Api, _: pytest.MonkeyPatch) -> Reply:
    api.timpush.tags = {"user-0": set()}
    return api.post(document(users(2), NotAfter=4_102_444_800))


def expired(api: Api, _: pytest.MonkeyPatch) -> Reply:
    return api.post(document(users(2), NotAfter=1))


def partly_queued(api: Api, _: pytest.MonkeyPatch) -> Reply:
    api.timpush.tags = {"user-0": set(), "user-1": set()}
    api.timpush.account_codes = {"user-1": 70169}
    return api.post(document(users(3)))


def preferred(api: Api, _: pytest.MonkeyPatch) -> Reply:
    giant = "x" * 1_100_000
    return api.post(document({giant: ["tag"]} | users(1)), {"Prefer": "respond-async"})


def malformed(api: Api, _: pytest.MonkeyPatch) -> Reply:
    return api.post(document({f"user-{number}": [] for number in range(100)}))


def no_json(api: Api, _: pytest.MonkeyPatch) -> Reply:
    return api.post("{")


def too_large(api: Api, _: pytest.MonkeyPatch) -> Reply:
    return api.post(" " * (MAX_BODY_BYTES + 1))


def wrong_type(api: Api, _: pytest.MonkeyPatch) -> Reply:
    return api.post("{}", {"Content-Type": "text/plain"})


def unexpected(api: Api, monkeypatch: pytest.MonkeyPatch) -> Reply:
    monkeypatch.delenv("TIMPUSH_SECRET_ID")
    return api.post(document(users(1)))


def not_queued(api: Api, _: pytest.MonkeyPatch) -> Reply:
    api.timpush.account_codes = {"user-0": 70107, "user-1": 70169}
    with api.queue_fault(losing(lambda _: True)):
        return api.post(document(users(2)))


def too_many_to_name(api: Api, _: pytest.MonkeyPatch) -> Reply:
    with api.queue_fault(losing(lambda _: True)):
        return api.post(document({f"{number}" + '"' * 45: ["tag"] for number in range(20_000)}))


def truncated(api: Api, _: pytest.MonkeyPatch) -> Reply:
    giants = {str(number) + '"' * 1_100_000: ["tag"] for number in range(2)}
    return api.post(document(giants | users(1)), {"Prefer": "respond-async"})


CASES: list[tuple[int, Callable[[Api, pytest.MonkeyPatch], Reply]]] = [
    (200, settled),
    (200, expired),
    (202, partly_queued),
    (202, preferred),
    (400, malformed),
    (400, no_json),
    (413, too_large),
    (415, wrong_type),
    (500, unexpected),
    (503, not_queued),
    (503, too_many_to_name),
    (202, truncated),
]


@pytest.mark.parametrize(
    ("status", "request_"), CASES, ids=lambda one: getattr(one, "__name__", one)
)
def test_each_reply_is_as_described(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    request_: Callable[[Api, pytest.MonkeyPatch], Reply],
) -> None:
    reply = request_(api, monkeypatch)

    assert reply.status == status
    check(reply)
    examples = OPERATION["responses"][str(status)]["content"][reply.headers["content-type"]]
    details = {one["value"].get("detail") for one in examples["examples"].values()}
    assert reply.content.get("detail") in details


def test_described_are_the_statuses_of_the_function_and_of_api_gateway_alone() -> None:
    assert set(OPERATION["responses"]) == {str(status) for status, _ in CASES} | OF_API_GATEWAY


def test_each_status_has_an_example_that_is_as_described() -> None:
    assert openapi.wrong_examples(PATH, "post") == []


def test_each_example_of_a_request_is_answered_at_once(api: Api) -> None:
    for example in OPERATION["requestBody"]["content"]["application/json"]["examples"].values():
        assert conforms(example["value"], "components", "schemas", "Request") == []
        assert api.post(example["value"]).status == 200


def test_the_document_tells_the_limit_of_the_body() -> None:
    assert f"{MAX_BODY_BYTES:,} bytes" in OPERATION["requestBody"]["description"]


ascii_text = st.text(st.characters(codec="ascii"), max_size=8)
tags = ascii_text | st.sampled_from(["x" * 50, "x" * 51]) | st.none() | st.integers()
accounts = ascii_text | st.sampled_from(["用户", "x" * 2_000]) | st.none() | st.booleans()
rows = st.fixed_dictionaries(
    {"To_Account": accounts, "Tags": st.lists(tags, max_size=3) | st.none() | ascii_text}
)
good_rows = st.fixed_dictionaries(
    {
        "To_Account": st.text(min_size=1, max_size=8),
        "Tags": st.lists(
            st.text(st.characters(codec="ascii"), min_size=1, max_size=50), min_size=1
        ),
    },
    optional={"Note": ascii_text},
)
broken_rows = rows | st.dictionaries(st.sampled_from(["To_Account", "Tags"]), ascii_text)
times = (
    st.integers(-(10**13), 10**13)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([253_402_300_799, 253_402_300_800, 10**400, True, None, "1800000000"])
)
bodies = (
    st.fixed_dictionaries(
        {"UserTags": st.lists(good_rows, min_size=1, max_size=3)}, optional={"NotAfter": times}
    )
    | st.fixed_dictionaries(
        {}, optional={"UserTags": st.lists(good_rows | broken_rows, max_size=3), "NotAfter": times}
    )
    | st.recursive(st.none() | st.booleans() | st.integers() | ascii_text, st.lists, max_leaves=4)
)


def test_bodies_are_accepted_if_and_only_if_the_schema_allows_them(api: Api) -> None:
    def take(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        taken = [{"Id": entry["Id"]} for entry in json.loads(params["body"])["Entries"]]
        return SimpleNamespace(status_code=200), {"Successful": taken}

    @EXAMPLES
    @given(body=bodies)
    def accepted_if_allowed(body: Any) -> None:
        reply = api.post(json.dumps(body), {"Prefer": "respond-async"})

        check(reply)
        allowed = conforms(body, "components", "schemas", "Request") == []
        event(f"allowed: {allowed}")
        assert reply.status == (202 if allowed else 400)

    with api.queue_hook("before-call", take):
        accepted_if_allowed()


def test_a_tag_of_50_characters_and_more_bytes_is_what_the_schema_cannot_say(api: Api) -> None:
    body = document({"user": ["é" * 26]})

    assert conforms(body, "components", "schemas", "Request") == []
    assert api.post(body).status == 400
    assert "50 bytes" in SPEC["components"]["schemas"]["Tag"]["description"]
