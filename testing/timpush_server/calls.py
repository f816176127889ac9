"""A TIMPush call taken apart: the checks that need no state, and the shapes of the replies."""

import json
from dataclasses import dataclass, field
from typing import Any

REMOVE_TAG = "/v4/timpush/remove_tag"
GET_TAG = "/v4/timpush/get_tag"
MAX_USERS, MAX_TAGS, MAX_TAG_BYTES = 100, 10, 50

Users = list[tuple[str, list[str]]]


@dataclass
class Received:
    """One request on /v4/timpush/*. `query` holds the UserSig, so it stays out of the repr."""

    at: float  # time.monotonic() at arrival
    path: str
    users: Users  # the well-formed ones; no tags for get_tag
    code: int | None  # the ErrorCode answered; None when there was none
    query: dict[str, str] = field(repr=False)
    connection: int  # one number per TCP connection
    fault: str  # kind of the injected fault, or ""


class CallError(Exception):
    """The call fails as a whole with this ErrorCode and ErrorInfo."""

    def __init__(self, code: int, info: str) -> None:
        super().__init__(code, info)
        self.code, self.info = code, info


def failure(code: int, info: str) -> dict[str, Any]:
    return {"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": info}


def success(errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The reply of a call that went through; `errors` are the users that failed all the same."""
    reply: dict[str, Any] = {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}
    return reply | {"ErrorList": errors} if errors else reply


def parse_json(body: bytes) -> Any:
    """Return the JSON in `body`; None (never a valid call) if there is none."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def readable_users(document: Any) -> Users:
    """Return what can be read of the users in a body, checked or not: for the record."""
    body = document if isinstance(document, dict) else {}
    rows = [row for row in _list(body.get("UserTags")) if isinstance(row, dict)]
    rows += [{"To_Account": account} for account in _list(body.get("To_Account"))]
    return [
        (row["To_Account"], [tag for tag in _list(row.get("Tags")) if isinstance(tag, str)])
        for row in rows
        if isinstance(row.get("To_Account"), str)
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def check_head(method: str, content_type: str, query: dict[str, str]) -> None:
    """Refuse a call whose method, Content-Type or query is wrong; the UserSig comes later."""
    if method != "POST":
        raise CallError(60002, "method must be POST")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise CallError(60002, "Content-Type must be application/json")
    if query.get("contenttype") != "json":
        raise CallError(60025, "contenttype must be json")
    random = query.get("random", "")
    if not (random.isascii() and random.isdigit() and len(random) <= 10 and int(random) < 2**32):
        raise CallError(60002, "random must be a 32-bit unsigned integer")
    if not query.get("sdkappid"):
        raise CallError(60012, "sdkappid is missing")
    if not query.get("identifier"):
        raise CallError(60025, "identifier is missing")


def check_removal(document: Any) -> Users:
    """Return the users of a remove_tag body and their tags; CallError says what is wrong."""
    rows = _rows(document, "UserTags")
    if not all(isinstance(row, dict) and isinstance(row.get("Tags"), list) for row in rows):
        raise CallError(90001, "each of UserTags needs To_Account and Tags")
    if not all("To_Account" in row for row in rows):
        raise CallError(90001, "To_Account is missing")
    accounts = _accounts([row["To_Account"] for row in rows])
    for row in rows:
        _check_tags(row["Tags"])
    return [(account, row["Tags"]) for account, row in zip(accounts, rows, strict=True)]


def check_query(document: Any) -> Users:
    """Return the users of a get_tag body, without tags; CallError says what is wrong."""
    return [(account, []) for account in _accounts(_rows(document, "To_Account"))]


def _rows(document: Any, name: str) -> list[Any]:
    if document is None:
        raise CallError(90001, "body is not JSON")
    rows = document.get(name) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise CallError(90001, f"{name} must be a list that is not empty")
    if len(rows) > MAX_USERS:
        raise CallError(90018, f"more than {MAX_USERS} accounts")
    return rows


def _accounts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise CallError(60015, "To_Account must be a string")
    if not all(values):
        raise CallError(90001, "To_Account is empty")
    if len(set(values)) < len(values):
        raise CallError(90001, "an account is there twice")
    return values


def _check_tags(tags: list[Any]) -> None:
    if len(tags) > MAX_TAGS:
        raise CallError(90032, f"more than {MAX_TAGS} tags for an account")
    if not tags or not all(isinstance(tag, str) and tag for tag in tags):
        raise CallError(90001, "Tags must hold strings that are not empty")
    if any(len(tag.encode("utf-8", "surrogatepass")) > MAX_TAG_BYTES for tag in tags):
        raise CallError(90034, f"a tag is longer than {MAX_TAG_BYTES} bytes")
