"""What a request says: its headers and its body."""

import base64
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from timpush.errors import MalformedMessageError

MAX_BODY_BYTES = 5 * 1024 * 1024
ASYNC = "respond-async"


class RefusedError(Exception):
    """The request cannot be read; nothing was sent."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def header(event: Mapping[str, Any], name: str) -> str:
    """The header `name` (in lower case), in whatever form it was sent; several are one list."""
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
        RefusedError: its type is not JSON, or it is too large.
        MalformedMessageError: it is not text in UTF-8.
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
