"""Reads a reply of the tag commands: which users failed, and why. No sockets here.

Documented (https://trtc.io/document/67822, n.d.): ActionStatus, ErrorCode, ErrorInfo and, when a
call succeeded for a part of its users, ErrorList with a row for each of the others. A success is
believed only when nothing else in the reply speaks of an account: another key with such content may
be the list of failures under a name that is not documented.
"""

import json
from typing import Any

from timpush.errors import CallError, FailWithoutCodeError, OddReplyError
from timpush.tencent.codes import call_error
from timpush.tencent.repeated_usersig import redact

MAX_INFO = 500
MAX_RAW_INFO = 4_000
"""What is looked at of an ErrorInfo, so that a long one costs no more."""

Failures = dict[str, CallError]
"""Account -> why TIMPush did not do as asked. Accounts that are not listed succeeded."""

REPLY_KEYS = frozenset({"ActionStatus", "ErrorCode", "ErrorInfo", "ErrorList"})
ROW_KEYS = frozenset({"To_Account", "ErrorCode", "ErrorInfo"})


class _RepeatedKeyError(ValueError):
    """A JSON object holds a key twice: it cannot be known which of the two is meant."""


def read_failures(
    status: int,
    data: bytes,
    sent: set[str],
    usersig: str,
    result_keys: frozenset[str] = frozenset(),
) -> Failures:
    """Read what a reply says of each account in `sent`.

    `result_keys` are the top-level keys in which the command returns what was asked for.

    Raises:
        OddReplyError: the reply is not as documented.
        CallError: the call failed as a whole.
    """
    reply = _read_object(status, data)
    code, action = reply.get("ErrorCode"), reply.get("ActionStatus")
    if type(code) is not int or action not in ("OK", "FAIL"):
        raise OddReplyError("OddReply", "ErrorCode or ActionStatus is not as documented")
    if code != 0:
        raise call_error(code, _info(reply, usersig))
    if action == "FAIL":
        raise FailWithoutCodeError(code, _info(reply, usersig))
    _check_other_keys(reply, REPLY_KEYS | result_keys, sent, usersig)
    rows = reply.get("ErrorList", [])
    if not isinstance(rows, list):
        raise OddReplyError("OddReply", "ErrorList is not an array")
    return _read_rows(rows, sent, usersig)


def _read_object(status: int, data: bytes) -> dict[str, Any]:
    if status != 200:
        raise OddReplyError(f"HTTP{status}", "the status is not 200")
    repeated = False
    try:
        reply = _DECODER.decode(data.decode("utf-8-sig"))
    except _RepeatedKeyError:
        reply, repeated = None, True
    except (ValueError, RecursionError):
        reply = None
    if repeated:  # raised here: an exception's context would hold the reply
        raise OddReplyError("OddReply", "the reply holds a key twice")
    if not isinstance(reply, dict):
        raise OddReplyError("NotJSON", "the reply is not a JSON object")
    return reply


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RepeatedKeyError
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _read_rows(rows: list[Any], sent: set[str], usersig: str) -> Failures:
    """The rows of ErrorList. One with ErrorCode 0 says that its user succeeded.

    Of a user that is listed more than once, the error that allows a retry counts.
    """
    failures: Failures = {}
    succeeded: set[str] = set()
    for row in rows:
        account, code = _check_row(row, sent, usersig)
        if code == 0:
            succeeded.add(account)
            continue
        error = call_error(code, _info(row, usersig))
        if account not in failures or error.retryable:
            failures[account] = error
    if not succeeded.isdisjoint(failures):
        raise OddReplyError("OddReply", "ErrorList says of a user both success and failure")
    return failures


def _check_row(row: Any, sent: set[str], usersig: str) -> tuple[str, int]:
    account = row.get("To_Account") if isinstance(row, dict) else None
    code = row.get("ErrorCode") if isinstance(row, dict) else None
    if not isinstance(account, str) or account not in sent or type(code) is not int:
        raise OddReplyError("OddReply", "ErrorList holds a row that is not as documented")
    _check_other_keys(row, ROW_KEYS, sent, usersig)
    return account, code


def _check_other_keys(
    holder: dict[str, Any], known: frozenset[str], sent: set[str], usersig: str
) -> None:
    """Refuse an array or object that speaks of an account, under a key without known meaning."""
    for key, value in holder.items():
        unknown = key not in known or key == "ErrorInfo"  # ErrorInfo is a text, or it is odd
        if unknown and isinstance(value, list | dict) and _speaks_of_accounts(value, sent):
            name = _printable(key, usersig)[:50]
            raise OddReplyError("OddReply", f"the key {name!r} speaks of accounts")


def _speaks_of_accounts(value: Any, sent: set[str]) -> bool:
    """Whether an array or object, at any depth, holds an account of `sent` or a To_Account."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left += part.values()
            left += part.keys()
            if any(key.lower() == "to_account" for key in part):
                return True
        elif isinstance(part, list):
            left += part
        elif isinstance(part, str) and part in sent:
            return True
    return False


def _info(row: dict[str, Any], usersig: str) -> str:
    """ErrorInfo as printable text, bounded, and without the UserSig should it be repeated."""
    info = row.get("ErrorInfo")
    return _printable(info[:MAX_RAW_INFO], usersig)[:MAX_INFO] if isinstance(info, str) else ""


def _printable(text: str, usersig: str) -> str:
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return redact(text, usersig)
