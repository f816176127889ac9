"""Which UserSig a call is sent with, and when: the one owner of these rules.

The worker and the HTTPS endpoint follow the same ones. Pure: the caller reads the secret and tells
what it found.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timpush.errors import CallError, SecretError
from timpush.removal.pace import Now
from timpush.tencent.codes import explain

if TYPE_CHECKING:
    from timpush.tencent.credentials import Credential

REFUSED_SECONDS = 60.0
"""A refused UserSig is tried again this seldom: repeated failures lock the app out (70050,
https://trtc.io/document/34348, n.d.)."""
REREAD_SECONDS = 15.0
"""While the UserSig is refused or unusable, the secret is re-read this often. 4 workers x 4 reads a
minute are 23,040 a day: 0.12 USD at 0.05 USD for 10,000 (https://aws.amazon.com/secrets-manager/
pricing/, 2026-11). A new UserSig is found within 15 s and sent at once."""


@dataclass(slots=True)
class Standing:
    """What an environment remembers of its UserSigs between invocations.

    `proven` was taken by TIMPush. `doubted` was, but its latest call was refused. `refused` was
    refused twice, or before it was ever taken; `tried_at` is when it was last sent or refused, in
    Unix seconds.
    """

    proven: "Credential | None" = None
    doubted: "Credential | None" = None
    refused: "Credential | None" = None
    tried_at: float = -math.inf


class Signing:
    """The UserSig of one invocation. `fault` says why none may be sent now, empty if one may."""

    def __init__(self, standing: Standing) -> None:
        self.credential: Credential | None = None
        self.fault = ""
        self._standing = standing
        self._read = False
        self._fresh_at = Now(-math.inf, -math.inf)

    @property
    def proven(self) -> bool:
        """Whether TIMPush takes this UserSig, as far as anyone knows."""
        return self.credential is not None and self.credential == self._standing.proven

    def must_read(self, now: Now) -> str:
        """Whether the secret is to be read now: "kept" if a copy does, "fresh", or "" for no."""
        if not self._read:
            return "kept"
        return "fresh" if now.clock >= self.next_read(now) else ""

    def next_read(self, now: Now) -> float:
        """When (of the clock) the secret is to be read again; infinity while the UserSig works."""
        if not (self.fault or self._is_doubted() or self._is_expired(now)):
            return math.inf
        due = self._fresh_at.clock + REREAD_SECONDS
        if self._is_refused() and self._fresh_at.unix < self._retry_at(now):
            due = min(due, self.send_at(now))  # once more, right before it is sent again
        return due

    def take(self, found: "Credential | SecretError", how: str, now: Now) -> bool:
        """The secret was read; whether it holds another UserSig than before."""
        before, self._read = self.credential, True
        if how == "fresh" or isinstance(found, SecretError):
            self._fresh_at = now
        if isinstance(found, SecretError):
            self.credential, self.fault = None, found.message
        else:
            self.credential = found
            if not self._is_refused():
                self.fault = ""
            elif not self.fault or before != found:
                self.fault = "the UserSig was refused; it is tried once a minute"
        return self.credential != before

    def send_at(self, now: Now) -> float:
        """When (of the clock) the UserSig may be sent; infinity: not before it is read again."""
        if self.credential is None or self._is_expired(now):
            return math.inf
        if not self._is_refused():
            return now.clock
        return now.clock + max(0.0, self._retry_at(now) - now.unix)

    def why_not(self, now: Now) -> str:
        """Why the UserSig may not be sent now; empty if it may."""
        expired = "the UserSig has expired" if self._is_expired(now) else ""
        return self.fault or expired

    def sent(self, now: Now) -> None:
        """A call with the UserSig starts."""
        if self._is_refused():
            self._standing.tried_at = now.unix

    def prove(self) -> None:
        """TIMPush took the UserSig."""
        standing, self.fault = self._standing, ""
        standing.proven, standing.doubted, standing.refused = self.credential, None, None

    def refuse(self, error: CallError, now: Now) -> None:
        """TIMPush refused the UserSig. One that it took before is tried once more."""
        standing = self._standing
        if self.proven:
            standing.proven, standing.doubted = None, self.credential
            return
        standing.proven = standing.doubted = None
        standing.refused, standing.tried_at = self.credential, now.unix
        self.fault = explain(error)

    def _is_refused(self) -> bool:
        return self.credential is not None and self.credential == self._standing.refused

    def _is_doubted(self) -> bool:
        return self.credential is not None and self.credential == self._standing.doubted

    def _is_expired(self, now: Now) -> bool:
        return self.credential is not None and now.unix > self.credential.expires_at

    def _retry_at(self, now: Now) -> float:
        """When (Unix seconds) the refused UserSig may be sent; at once if the clock jumped back."""
        tried_at = self._standing.tried_at
        return tried_at + REFUSED_SECONDS if tried_at <= now.unix else -math.inf
