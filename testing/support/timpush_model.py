"""A model of TIMPush in virtual time: what it removed, and trouble that comes and goes."""

import json
from collections import deque
from typing import Any, Literal, get_args

from support.batches import Pair
from support.scene import SDKAPPID, secret
from support.world import OK, Answer, Sent, World
from timpush.errors import TransientError
from timpush.tencent.usersig import sign

Trouble = Literal[
    "down", "hanging", "garbage", "lost replies", "limited", "misconfigured", "odd code", "listing"
]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
GONE, BAD_TAG = "gone-", "bad-tag"
"""Accounts that begin with GONE are listed as not imported; a call that holds BAD_TAG fails."""
NOT_IMPORTED, TAG_REFUSED = 70107, 90034
YEAR = 365 * 86_400


class Killed(BaseException):
    """The environment ends in the middle of an invocation, as at a timeout or a crash."""


class TimPush:
    """Removes pairs, with the time of each removal, unless it is in `troubles`.

    `kill_in` is the number of further calls after which the caller is killed, None for never;
    more than `calls_per_second` starts in any second are a fault of the caller's.
    """

    def __init__(self, world: World, calls_per_second: int) -> None:
        self.removed: dict[Pair, float] = {}
        self.troubles: set[Trouble] = set()
        self.kill_in: int | None = None
        self._world = world
        self._keys = 0
        self._valid = self._revoked = ""
        self._starts: deque[float] = deque(maxlen=calls_per_second)
        self.renew()

    def renew(self) -> None:
        """A new UserSig, and it is in the secret."""
        self._keys += 1
        issued = int(self._world.time.now())
        self._revoked = ""
        self._valid = sign(SDKAPPID, "administrator", str(self._keys), issued, YEAR)
        self._world.secrets.value = secret(self._valid)

    def revoke(self) -> None:
        """The UserSig that the secret holds is refused from now on."""
        self._revoked, self._valid = self._valid or self._revoked, ""

    def restore(self) -> None:
        """The UserSig that was revoked is taken again."""
        self._valid = self._valid or self._revoked

    def respond(self, sent: Sent) -> Answer:
        starts = self._starts
        full = len(starts) == starts.maxlen
        assert not full or sent.at - starts[0] > 1, "over the budget"
        starts.append(sent.at)
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                raise Killed
        return self._answer(sent)

    def _answer(self, sent: Sent) -> Answer:
        troubles = self.troubles
        if "down" in troubles:
            return Answer(dropped=TransientError("ConnectTimeoutError", ""), latency=3.0)
        if "hanging" in troubles:
            return Answer(latency=float("inf"))
        if "garbage" in troubles:
            return Answer(b"<html>", status=502)
        if sent.usersig != self._valid:
            return _failure(70009)
        if "misconfigured" in troubles:
            return _failure(60026)
        if "limited" in troubles and len(sent.users) % 2:
            return _failure(60007)
        if "odd code" in troubles:
            return _failure(99_999)
        if any(BAD_TAG in tags for _, tags in sent.users):
            return _failure(TAG_REFUSED)
        rows = self._remove(sent)
        if "lost replies" in troubles:
            return Answer(dropped=TransientError("ReadTimeoutError", ""), latency=5.0)
        return _listing(rows) if rows else Answer(OK)

    def _remove(self, sent: Sent) -> list[tuple[str, int]]:
        rows = []
        for number, (account, tags) in enumerate(sent.users):
            if account.startswith(GONE):
                rows.append((account, NOT_IMPORTED))
            elif "listing" in self.troubles and number % 3 == 0:
                rows.append((account, 91000))
            else:
                self.removed.update(dict.fromkeys([(account, tag) for tag in tags], sent.at))
        return rows


def _failure(code: int) -> Answer:
    return Answer(_body("FAIL", code))


def _listing(rows: list[tuple[str, int]]) -> Answer:
    error_list = [{"To_Account": account, "ErrorCode": code} for account, code in rows]
    return Answer(_body("OK", 0, ErrorList=error_list))


def _body(action: str, code: int, **more: Any) -> bytes:
    return json.dumps({"ActionStatus": action, "ErrorCode": code, "ErrorInfo": ""} | more).encode()
