"""Calls the REST API of TIMPush: query, body, timeouts, and the reply read for what it says.

One pool of kept connections per environment. The pool never retries and never follows a redirect:
a retry is `removal`'s business, and a redirect would carry the UserSig to another host.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError, SSLError

from timpush.errors import ConnectionReuseError, TransientError
from timpush.messages import UserTags
from timpush.tencent.credentials import Credential
from timpush.tencent.replies import Failures, read_failures

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
"""Above the backend's own 3 s; https://cloud.tencent.com/document/product/269/1519 (n.d.)."""
CALL_SECONDS = 3.5
"""The least time a call must have: it must outlast the backend's 3 s."""
IDLE_SECONDS = 30.0
"""A pool that rested longer is emptied: Lambda freezes environments, and peers hang up."""
MAX_REPLY_BYTES = 1024 * 1024  # 100 users in ErrorList take about 20 kB

_thread = threading.local()


class _Connection(HTTPConnection):
    def connect(self) -> None:
        _thread.connected = True
        super().connect()


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        _thread.connected = True
        super().connect()


class TimPushClient:
    """One endpoint and the connections to it. Calls may run in several threads.

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
        self._endpoint_url = endpoint_url
        self._path = urlsplit(endpoint_url).path
        self._connections = connections
        self._clock = clock
        self._now = now
        self._randbits = randbits
        self._pool = self._open_pool()
        self._used_at = now()

    def remove_tag(
        self, users: list[UserTags], credential: Credential, deadline: float
    ) -> Failures:
        """Remove the tags of at most 100 users, each with at most 10 tags.

        Ends by `deadline` (of the clock). Returns the users that TIMPush lists as failed.

        Raises:
            CallError: the call as a whole was not done, or nobody knows whether it was.
        """
        body = {"UserTags": [{"To_Account": account, "Tags": tags} for account, tags in users]}
        status, data = self._post("remove_tag", body, credential, deadline)
        return read_failures(status, data, {account for account, _ in users}, credential.usersig)

    def get_tag(self, accounts: list[str], credential: Credential, deadline: float) -> Failures:
        """Ask for the tags of at most 100 accounts; whether that works, not which they are.

        Ends by `deadline` (of the clock). Returns the accounts that TIMPush lists as failed.

        Raises:
            CallError: the call as a whole was not done, or nobody knows whether it was.
        """
        status, data = self._post("get_tag", {"To_Account": accounts}, credential, deadline)
        return read_failures(status, data, set(accounts), credential.usersig)

    def drop_idle_connections(self) -> None:
        """Empty the pool when it rested too long. Call it before an invocation's first call."""
        if not 0 <= self._now() - self._used_at <= IDLE_SECONDS:
            self._pool.close()
            self._pool = self._open_pool()

    def _open_pool(self) -> urllib3.HTTPConnectionPool:
        pool = urllib3.connection_from_url(self._endpoint_url, maxsize=self._connections)
        https = isinstance(pool, urllib3.HTTPSConnectionPool)
        pool.ConnectionCls = _TlsConnection if https else _Connection
        return pool

    def _post(
        self, command: str, body: dict[str, Any], credential: Credential, deadline: float
    ) -> tuple[int, bytes]:
        seconds = deadline - self._clock()
        if seconds <= 0:
            raise TransientError("Deadline", "no time left for the call")
        url = f"{self._path}/v4/timpush/{command}?{self._query(credential)}"
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        timeout = urllib3.Timeout(total=seconds, connect=CONNECT_SECONDS, read=READ_SECONDS)
        result = _exchange(self._pool, url, data, timeout)
        self._used_at = self._now()
        if isinstance(result, TransientError):
            raise result
        return result

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


def _exchange(
    pool: urllib3.HTTPConnectionPool, url: str, data: bytes, timeout: urllib3.Timeout
) -> tuple[int, bytes] | TransientError:
    """Send one request. A failure is returned, not raised: its cause holds the URL."""
    _thread.connected = False
    response = None
    try:
        response = pool.urlopen(
            "POST",
            url,
            body=data,
            headers={"Content-Type": "application/json"},
            retries=False,
            redirect=False,
            timeout=timeout,
            preload_content=False,
        )
        reply = response.read(MAX_REPLY_BYTES + 1)
    except Exception as error:  # whatever it is, its text may hold the URL
        if response is not None:
            response.close()
        elif not _thread.connected and _died_unanswered(error):
            return ConnectionReuseError("Dropped", "a kept connection died before the reply")
        return TransientError(type(error).__name__, "no reply, or only a part of one")
    if len(reply) > MAX_REPLY_BYTES:
        response.close()
        return TransientError("ReplyTooLarge", f"the reply exceeds {MAX_REPLY_BYTES} bytes")
    response.release_conn()
    return response.status, reply


def _died_unanswered(error: Exception) -> bool:
    cause = error.args[-1] if isinstance(error, ProtocolError) and error.args else None
    return isinstance(cause, ConnectionError) or isinstance(error, SSLError)
