"""Calls the REST API of TIMPush: the query and body of a command, and one HTTP call for it.

Connections are kept between calls, as Tencent advises. Nothing is repeated here, and no redirect is
followed: a retry is the business of `timpush.removal`, and a redirect would carry the UserSig to
another host.
"""

import json
import random
import ssl
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from timpush.errors import CallError, TransientError
from timpush.messages import UserTags
from timpush.tencent.connection import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Connection,
    TlsConnection,
)
from timpush.tencent.credentials import Credential
from timpush.tencent.replies import Failures, read_failures

CALL_SECONDS = 3.5
"""The least time a call must have: it must outlast the backend's own 3 s."""
MAX_CALL_SECONDS = CONNECT_SECONDS + READ_SECONDS
"""The most a call takes, however slowly the reply comes: 3 s to connect + 5 s for the rest, which
again outlasts the backend's 3 s. Then its connection is closed."""
IDLE_SECONDS = 30.0
"""Kept connections are closed after a longer rest: Lambda freezes environments, and peers hang up.
"""
RESULT_KEYS = {"remove_tag": frozenset[str](), "get_tag": frozenset({"UserTags"})}
"""The keys in which a command returns what was asked for:
https://www.tencentcloud.com/document/product/1047/60567 (n.d.)."""


class TimPushClient:
    """The API host and the connections to it. Calls may run in several threads.

    `endpoint_url` was checked by `settings`; `connections` is the most calls in flight.
    """

    def __init__(
        self,
        endpoint_url: str,
        connections: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        randbits: Callable[[int], int] = random.getrandbits,
    ) -> None:
        self._url = urlsplit(endpoint_url)
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._clock = clock
        self._now = now
        self._randbits = randbits
        self._kept: deque[Connection] = deque()
        self._most_kept = connections
        self._used_at = now()
        weakref.finalize(self, _discard_all, self._kept)

    def remove_tag(
        self, users: list[UserTags], credential: Credential, deadline: float
    ) -> Failures:
        """Remove the tags of at most 100 users, each with at most 10 tags.

        Ends by `deadline` (of the clock) and after at most `MAX_CALL_SECONDS`. Returns the users
        that TIMPush lists as failed; the others succeeded.

        Raises:
            CallError: the call as a whole failed, or it is not known whether it succeeded.
        """
        body = {"UserTags": [{"To_Account": account, "Tags": tags} for account, tags in users]}
        sent = {account for account, _ in users}
        return self._call("remove_tag", body, sent, credential, deadline)

    def get_tag(self, accounts: list[str], credential: Credential, deadline: float) -> Failures:
        """Ask for the tags of at most 100 accounts; whether that works, not which they are.

        Ends by `deadline` (of the clock) and after at most `MAX_CALL_SECONDS`. Returns the
        accounts that TIMPush lists as failed.

        Raises:
            CallError: the call as a whole failed, or it is not known whether it succeeded.
        """
        sent = set(accounts)
        return self._call("get_tag", {"To_Account": accounts}, sent, credential, deadline)

    def drop_idle_connections(self) -> None:
        """Close the kept connections after a long rest. To be called before the first call."""
        if not 0 <= self._now() - self._used_at <= IDLE_SECONDS:
            _discard_all(self._kept)

    def _call(
        self,
        command: str,
        body: dict[str, Any],
        sent: set[str],
        credential: Credential,
        deadline: float,
    ) -> Failures:
        started = self._clock()
        if deadline <= started:
            raise TransientError("Deadline", "no time left for the call")
        url = f"{self._url.path}/v4/timpush/{command}?{self._query(credential)}"
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        connection = self._take()
        result = connection.post(url, data, min(deadline, started + MAX_CALL_SECONDS))
        self._used_at = self._now()
        if isinstance(result, TransientError):
            raise result
        try:
            failures = read_failures(*result, sent, credential.usersig, RESULT_KEYS[command])
        except CallError:  # a service in trouble may send yet another reply to this call
            connection.discard()
            raise
        self._keep(connection)
        return failures

    def _take(self) -> Connection:
        """A kept connection that nothing has come over since its last reply, or a new one."""
        while True:
            try:
                connection = self._kept.pop()
            except IndexError:
                return self._open()
            if connection.is_ready():
                return connection
            connection.discard()

    def _keep(self, connection: Connection) -> None:
        if not connection.is_closed and len(self._kept) < self._most_kept:
            self._kept.append(connection)
        else:
            connection.discard()

    def _open(self) -> Connection:
        host = str(self._url.hostname)
        if self._tls:
            port = self._url.port or 443
            return TlsConnection(host, port, self._clock, ssl_context=self._tls)
        return Connection(host, self._url.port or 80, self._clock)

    def _query(self, credential: Credential) -> str:
        return urlencode(
            {
                "usersig": credential.usersig,
                "identifier": credential.identifier,
                "sdkappid": credential.sdkappid,
                "random": self._randbits(32),
                "contenttype": "json",
            }
        )


def _discard_all(kept: deque[Connection]) -> None:
    while kept:
        kept.pop().discard()
