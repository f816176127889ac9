"""The control plane: how another process sets the server up, breaks it and reads it. JSON.

    PUT  /_control/tags            {"account": ["tag", ...]}, merged; [] makes an account known
    GET  /_control/tags            the tag store, tags sorted
    GET  /_control/summary         counts of the calls so far, see `_summary`
    GET  /_control/received        the calls in order of arrival, without their UserSig
    POST /_control/faults          {"fault": {fields of Fault, body as text}, "times": 1}
    PUT  /_control/standing-fault  {"fault": {...}}, or {"fault": null} to clear it
    PUT  /_control/settings        any of account_codes, refused_accounts, refused_tags (each
                                   replaced as a whole), latency (seconds), calls_per_second
    POST /_control/usersig         any arguments of `TimPushServer.usersig`; answers the secret

A success is HTTP 200 ({} where there is nothing to say); a fault of the request 400, 404 or 405
with {"error": "..."}.
"""

import json
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from timpush_server.faults import Fault
from timpush_server.transport import Reply, Request

if TYPE_CHECKING:
    from timpush_server.server import TimPushServer

_CODES = ("account_codes", "refused_accounts", "refused_tags")


def respond(server: "TimPushServer", request: Request) -> Reply:
    """Answer one request under /_control/."""
    methods = _ROUTES.get(request.path.removeprefix("/_control/"))
    if methods is None:
        return _json(404, {"error": "no such resource"})
    if request.method not in methods:
        return _json(405, {"error": f"method: {' or '.join(methods)}"})
    try:
        body = json.loads(request.body or b"{}")
        _require(isinstance(body, dict), "body: an object")
        with server.lock:
            result = methods[request.method](server, body)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return _json(400, {"error": str(error)})
    return _json(200, {} if result is None else result)


def _json(status: int, document: Any) -> Reply:
    return Reply(status, json.dumps(document).encode())


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _put_tags(server: "TimPushServer", body: dict[str, Any]) -> None:
    for tags in body.values():
        fits = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
        _require(fits, "tags: each account needs a list of strings")
    for account, tags in body.items():
        server.tags.setdefault(account, set()).update(tags)


def _get_tags(server: "TimPushServer", _: dict[str, Any]) -> dict[str, list[str]]:
    return {account: sorted(tags) for account, tags in server.tags.items()}


def _summary(server: "TimPushServer", _: dict[str, Any]) -> dict[str, Any]:
    """Count all calls, refused and faulted ones too; `users` counts a user once per call."""
    calls = server.received
    window: deque[float] = deque()
    peak = 0
    for call in calls:
        window.append(call.at)
        while call.at - window[0] >= 1:
            window.popleft()
        peak = max(peak, len(window))
    codes = Counter("none" if call.code is None else str(call.code) for call in calls)
    users = sum(len(call.users) for call in calls)
    return {"calls": len(calls), "by_code": codes, "users": users, "peak_calls_per_second": peak}


def _received(server: "TimPushServer", _: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**vars(call), "query": {k: v for k, v in call.query.items() if k != "usersig"}}
        for call in server.received
    ]


def _fault(fields: Any) -> Fault:
    _require(isinstance(fields, dict), "fault: an object")
    return Fault(**{**fields, "body": fields.get("body", "").encode()})


def _post_faults(server: "TimPushServer", body: dict[str, Any]) -> None:
    times = body.get("times", 1)
    _require(type(times) is int and 0 <= times <= 1_000_000, "times: 0 to 1,000,000")
    server.inject(_fault(body.get("fault")), times)


def _put_standing_fault(server: "TimPushServer", body: dict[str, Any]) -> None:
    _require("fault" in body, "fault: an object or null")
    server.set_fault(None if body["fault"] is None else _fault(body.get("fault")))


def _put_settings(server: "TimPushServer", body: dict[str, Any]) -> None:
    for name, value in body.items():
        if name in _CODES:
            fits = isinstance(value, dict) and all(type(code) is int for code in value.values())
        elif name == "calls_per_second":
            fits = value is None or (type(value) is int and value >= 0)
        else:
            fits = name == "latency" and type(value) in (int, float) and value >= 0
        _require(fits, f"settings: {name} is unknown or impossible")
    for name, value in body.items():
        setattr(server, name, value)


def _post_usersig(server: "TimPushServer", body: dict[str, Any]) -> Any:
    return json.loads(server.secret(**body))


_ROUTES: dict[str, dict[str, Callable[["TimPushServer", dict[str, Any]], Any]]] = {
    "tags": {"PUT": _put_tags, "GET": _get_tags},
    "summary": {"GET": _summary},
    "received": {"GET": _received},
    "faults": {"POST": _post_faults},
    "standing-fault": {"PUT": _put_standing_fault},
    "settings": {"PUT": _put_settings},
    "usersig": {"POST": _post_usersig},
}
