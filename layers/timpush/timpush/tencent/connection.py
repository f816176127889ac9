"""A connection to the API host on which each call has a bound and no reply is mistaken.

urllib3's pool is not used: it keeps a connection after replies that are not what they seem, and it
bounds each read but not the reply. Here a connection stays open only after a complete 200 with
nothing behind it, and each wait of a call gets no more than what is left of the call's time.
"""

import io
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPResponse, parse_headers
from typing import TYPE_CHECKING, Any, cast

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util import wait_for_read

from timpush.errors import ConnectionReuseError, OddReplyError, TransientError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 3.0
"""The longest to connect, TLS included. Not bounded: the look-up of the host's name by the system,
which cannot be interrupted."""
READ_SECONDS = 5.0
"""The longest silence. Above the backend's own 3 s, which Tencent says a caller must outlast:
https://cloud.tencent.com/document/product/269/1519 (n.d.)."""
MAX_REPLY_BYTES = 1024 * 1024  # 100 users in ErrorList take about 20 kB
MAX_SEND_BYTES = 16 * 1024
"""One TLS record: a longer send would restart its timeout with each record."""
INTERIM = frozenset(range(100, 200)) - {101}
"""Statuses after which the real reply follows (RFC 9110, 15.2). A 101 counts as final: a call never
asks for another protocol."""

Seconds = Callable[[float], float]
"""What is left of a call's time, at most so much; raises TimeoutError when nothing is."""


class _Bytes(io.RawIOBase):
    """The bytes that a socket receives, each read within what is left of the call's time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: Seconds) -> None:
        self.received = 0
        self.ended = False
        self._raw, self._sock, self._seconds = raw, sock, seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self.ended:
            return 0
        self._sock.settimeout(self._seconds(READ_SECONDS))
        size = cast(int, self._raw.readinto(buffer))
        self.received += size
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Stream(io.BufferedReader):
    """Knows, once it is closed, whether it received bytes that were not read."""

    unread = False

    def __init__(self, received: _Bytes) -> None:
        self._received = received
        super().__init__(received)

    def close(self) -> None:
        if not self.closed:
            self._received.ended = True
            self.unread = bool(self.peek(1))
        super().close()


class _Reply(HTTPResponse):
    """A reply that skips interim ones and knows whether the connection may be used again."""

    def __init__(self, sock: socket.socket, seconds: Seconds, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.bytes = _Bytes(self.fp.detach(), sock, seconds)
        self.stream = self.fp = _Stream(self.bytes)
        self._odd = False

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while status in INTERIM:
            self._odd |= status != 100  # a 100 is common, the others may be a broken proxy's
            parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason

    def is_complete(self) -> bool:
        """Whether all of it was read, with nothing odd in it and nothing behind it."""
        broken = self._odd or bool(self.msg.defects) or bool(self.msg.get_payload())
        return self.isclosed() and not broken and not self.stream.unread


class Connection(HTTPConnection):
    """A connection over TCP, opened by the first call. One call at a time.

    `until`, of the clock, is when the call under way must have ended.
    """

    debuglevel = 0  # a level set on http.client's class would print each request

    def __init__(self, host: str, port: int, clock: Callable[[], float], **more: Any) -> None:
        super().__init__(host, port, **more)
        self._clock = clock
        self._until = 0.0
        self._reply: _Reply | None = None
        self._reused = False

    def post(self, url: str, body: bytes, until: float) -> tuple[int, bytes] | TransientError:
        """Send one request and read its reply; returns the status and, if that is 200, the body.

        Afterwards the connection is open only if another call may use it. A failure is returned,
        not raised: its cause holds the URL.
        """
        self._until, self._reply, self._reused = until, None, self.sock is not None
        try:
            status, reply = self._exchange(url, body)
        except Exception as error:  # whatever it is, its text may hold the URL
            self.discard()
            return self._failure(error)
        too_large = len(reply) > MAX_REPLY_BYTES
        if status != 200 or too_large or not (self._reply and self._reply.is_complete()):
            self.discard()
        if too_large:
            return OddReplyError("ReplyTooLarge", f"the reply exceeds {MAX_REPLY_BYTES} bytes")
        return status, reply

    def is_ready(self) -> bool:
        """Whether a call may use it: it is open and holds no unread bytes."""
        if self.sock is None or wait_for_read(self.sock, timeout=0.0):
            return False
        return not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending())

    def discard(self) -> None:
        """Close the connection and its reply, read or not."""
        if self._reply:
            self._reply.close()
        self.close()

    def send(self, data: Any) -> None:
        """Send bytes within what is left of the call's time."""
        view = memoryview(data)
        for start in range(0, len(view), MAX_SEND_BYTES):
            self.sock.settimeout(self._seconds(READ_SECONDS))
            super().send(view[start : start + MAX_SEND_BYTES])

    def response_class(self, sock: socket.socket, *args: Any, **kwargs: Any) -> _Reply:  # type: ignore[override]
        """The reply to read from the socket."""
        self._reply = _Reply(sock, self._seconds, *args, **kwargs)
        return self._reply

    def _exchange(self, url: str, body: bytes) -> tuple[int, bytes]:
        if self.sock is None:
            self.connect()
        headers = {"Content-Type": "application/json"}
        self.request("POST", url, body=body, headers=headers, preload_content=False)
        response = self.getresponse()
        if response.status != 200:
            return response.status, b""
        return 200, response.read(MAX_REPLY_BYTES + 1)

    def _new_conn(self) -> socket.socket:
        """Connect to one of the host's addresses; all of them share `CONNECT_SECONDS`."""
        until = self._clock() + self._seconds(CONNECT_SECONDS)
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NameResolutionError(self.host, self, cast(socket.gaierror, error)) from error
        failure: OSError | None = None
        for position, (family, kind, protocol, _, address) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                left = until - self._clock()
                sock.settimeout(max(0.001, left / (len(found) - position)))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                sock.settimeout(max(0.001, until - self._clock()))  # for the TLS handshake
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, "the host did not answer") from failure
        raise NewConnectionError(self, f"cannot connect: {failure}") from failure

    def _seconds(self, most: float) -> float:
        left = min(most, self._until - self._clock())
        if left <= 0:
            raise TimeoutError
        return left

    def _failure(self, error: Exception) -> TransientError:
        unanswered = not (self._reply and self._reply.bytes.received)
        died = isinstance(error, ConnectionError | ssl.SSLError)
        if self._reused and unanswered and died:
            return ConnectionReuseError("Dropped", "a kept connection died before the reply")
        return TransientError(_code(error), "no reply, or only a part of one")


class TlsConnection(Connection, HTTPSConnection):
    """The same over TLS."""


def _code(error: Exception) -> str:
    """The name of urllib3's error, also for those that urllib3's pool would have renamed."""
    match error:
        case HTTPError():
            return type(error).__name__
        case TimeoutError():
            return "ReadTimeoutError"
        case ssl.SSLError():
            return "SSLError"
    return "ProtocolError"
