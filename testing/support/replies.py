"""Replies of TIMPush as data, and what each says of every user: for scripts and for oracles.

Written from Tencent's documentation and the rules of this application, not from its code.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote_plus

from support.world import OK, Answer, Sent
from timpush.errors import ConnectionReuseError, TransientError

ACCOUNT_CODES = (70107, 90048, 60015)
"""Hopeless for the account, whatever its tags."""
TAG_CODES = (90034, 90020, 70402, 90001)
"""Hopeless, but perhaps only because of one of the tags."""
HOPELESS = frozenset(ACCOUNT_CODES + TAG_CODES)
TRANSIENT, LIMITED, REFUSED, MISCONFIGURED, UNKNOWN = 91000, 60007, 70009, 60026, 99_999
CODES = (*ACCOUNT_CODES, *TAG_CODES, TRANSIENT, LIMITED, REFUSED, MISCONFIGURED, UNKNOWN)

Kind = Literal[
    "ok",
    "ok with an empty list",
    "fails",
    "fails but says OK",
    "fails without a code",
    "lists",
    "lists some twice",
    "lists mixed codes",
    "odd rows",
    "odd reply",
    "odd status",
    "dropped",
    "dropped on a kept connection",
    "times out",
    "never",
]

ODD_ROWS: tuple[Callable[[str], Any], ...] = (
    lambda _: "text",
    lambda _: None,
    lambda _: {"ErrorCode": 70107},
    lambda account: {"To_Account": account},
    lambda account: {"To_Account": account, "ErrorCode": "70107"},
    lambda account: {"To_Account": account, "ErrorCode": True},
    lambda account: {"To_Account": account, "ErrorCode": 70107.0},
    lambda account: {"To_Account": [account], "ErrorCode": 70107},
    lambda _: {"To_Account": "somebody-else", "ErrorCode": 70107},
)
ODD_STATUSES = (502, 500, 429, 404, 301, 204, 201)
ODD_REPLIES = (
    b"",
    b"\x00<html>",
    b"[]",
    b"null",
    b"[" * 20_000,
    b"{}",
    b'{"ActionStatus":"OK"}',
    b'{"ErrorCode":0}',
    b'{"ActionStatus":"OK","ErrorCode":"0"}',
    b'{"ActionStatus":"OK","ErrorCode":false}',
    b'{"ActionStatus":"OK","ErrorCode":0.0}',
    b'{"ActionStatus":"ok","ErrorCode":0}',
    b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":{}}',
    b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":null}',
    b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":"no"}',
    b'{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"cut',
    b'\xff\xfe{"ActionStatus":"OK","ErrorCode":0}',
)


@dataclass(frozen=True)
class Turn:
    """How one call is answered; `step` thins out who is listed, `number` chooses among odd ones."""

    kind: Kind = "ok"
    code: int = TRANSIENT
    latency: float = 0.3
    step: int = 1
    number: int = 0


@dataclass(frozen=True)
class Said:
    """What a reply says: of the call as a whole, or the codes by account; or nothing at all."""

    sent: Sent
    answer: Answer
    sense: bool = True
    whole: int | None = None
    listed: dict[str, list[int]] = field(default_factory=dict)

    @property
    def ended(self) -> float:
        return self.sent.at + self.answer.latency

    def removed(self, account: str, tag: str) -> bool:
        """Whether it says that the tag is off the account."""
        done = self.sense and self.whole is None and account not in self.listed
        return done and tag in self.sent.tags.get(account, ())

    def hopeless(self, account: str, tag: str) -> set[int]:
        """The codes by which it shows, with nothing else in question, that this cannot succeed."""
        tags = self.sent.tags.get(account, [])
        if not self.sense or tag not in tags:
            return set()
        if self.whole is not None:
            alone = self.sent.users == [(account, [tag])]
            return {self.whole} & HOPELESS if alone else set()
        codes = set(self.listed.get(account, ()))
        if not codes <= HOPELESS:
            return set()
        return codes if len(tags) == 1 else codes & set(ACCOUNT_CODES)


def answer(turn: Turn, sent: Sent) -> Said:
    """The turn's reply to this call. Its texts repeat the UserSig, as a proxy's might."""
    latency, echo = turn.latency, f"of {sent.usersig} or {quote_plus(sent.usersig)}"

    def said(document: Any, **what: Any) -> Said:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Said(sent, Answer(body, latency=latency), **what)

    def lists(rows: list[tuple[str, int]]) -> Said:
        listed: dict[str, list[int]] = {}
        for account, code in rows:
            listed.setdefault(account, []).append(code)
        error_list = [
            {"To_Account": account, "ErrorCode": code, "ErrorInfo": echo} for account, code in rows
        ]
        return said(_reply("OK", 0, ErrorList=error_list), listed=listed)

    chosen = sent.accounts[:: turn.step]
    match turn.kind:
        case "ok":
            return said(OK)
        case "ok with an empty list":
            return lists([])
        case "fails":
            return said(_reply("FAIL", turn.code, ErrorInfo=echo), whole=turn.code)
        case "fails but says OK":
            return said(_reply("OK", turn.code, ErrorInfo=echo), whole=turn.code)
        case "fails without a code":
            return said(_reply("FAIL", 0, ErrorInfo=echo), whole=0)
        case "lists":
            return lists([(account, turn.code) for account in chosen])
        case "lists some twice":
            return lists([(account, code) for account in chosen for code in (turn.code, TRANSIENT)])
        case "lists mixed codes":
            shift = turn.number
            return lists([(a, CODES[(n + shift) % len(CODES)]) for n, a in enumerate(chosen)])
        case "odd rows":
            odd = ODD_ROWS[turn.number % len(ODD_ROWS)](chosen[0])
            good = [{"To_Account": account, "ErrorCode": turn.code} for account in chosen]
            return said(_reply("OK", 0, ErrorList=[*good, odd]), sense=False)
        case "odd reply":
            return said(ODD_REPLIES[turn.number % len(ODD_REPLIES)], sense=False)
        case "odd status":
            status = ODD_STATUSES[turn.number % len(ODD_STATUSES)]
            return Said(sent, Answer(OK, status, latency), sense=False)
        case "dropped":
            error: TransientError = TransientError("ProtocolError", "no reply")
        case "dropped on a kept connection":
            error = ConnectionReuseError("Dropped", "before the reply")
        case "times out":
            error, latency = TransientError("ReadTimeoutError", "no reply"), 5.0
        case "never":
            error, latency = TransientError("Never", ""), float("inf")
    return Said(sent, Answer(latency=latency, dropped=error), sense=False)


def _reply(action: str, code: int, **more: Any) -> dict[str, Any]:
    return {"ActionStatus": action, "ErrorCode": code} | more
