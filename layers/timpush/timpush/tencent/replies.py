"""Reads a reply of the tag commands: which users failed, and why. No sockets here."""

import json
from typing import Any

from timpush.errors import CallError, TransientError
from timpush.tencent.codes import call_error
from timpush.tencent.redaction import redact

MAX_INFO = 500

Failures = dict[str, CallError]
"""Account -> why TIMPush did not do as asked. Accounts that are not listed succeeded."""


def read_failures(status: int, data: bytes, sent: set[str], usersig: str) -> Failures:
    """Read a reply of the tag commands for what it says of each account in `sent`.

    Raises:
        CallError: the whole call failed; transient when the reply makes no sense.
    """
    reply = _read_object(status, data)
    code, action = reply.get("ErrorCode"), reply.get("ActionStatus")
    if type(code) is not int or action not in ("OK", "FAIL"):
        raise TransientError("OddReply", "ErrorCode or ActionStatus is not as documented")
    if code != 0 or action == "FAIL":
        raise call_error(code, _info(reply, usersig))
    rows = reply.get("ErrorList", [])
    if not isinstance(rows, list):
        raise TransientError("OddReply", "ErrorList is no array")
    failures: Failures = {}
    for row in rows:
        account, error = _read_row(row, sent, usersig)
        if account not in failures or error.retryable:  # listed twice: never the hopeless one
            failures[account] = error
    return failures


def _read_object(status: int, data: bytes) -> dict[str, Any]:
    if status != 200:
        raise TransientError(f"HTTP{status}", "the status is not 200")
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise TransientError("NotJSON", "the reply is no JSON object")
    return reply


def _read_row(row: Any, sent: set[str], usersig: str) -> tuple[str, CallError]:
    account = row.get("To_Account") if isinstance(row, dict) else None
    code = row.get("ErrorCode") if isinstance(row, dict) else None
    if not isinstance(account, str) or account not in sent or type(code) is not int:
        raise TransientError("OddReply", "ErrorList holds a row that is not as documented")
    return account, call_error(code, _info(row, usersig))


def _info(row: dict[str, Any], usersig: str) -> str:
    """ErrorInfo as printable text, bounded, and without the UserSig should it be repeated."""
    info = row.get("ErrorInfo")
    text = redact(info, usersig)[:MAX_INFO] if isinstance(info, str) else ""
    return "".join(char if char.isprintable() else " " for char in text)
