"""HTTP/1.1 on 127.0.0.1: keep-alive, one thread a connection, and an orderly stop."""

import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from itertools import count
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl

_MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]  # of a name that comes twice, the last value
    content_type: str
    body: bytes
    connection: int


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one segment
    server: "HttpServer"

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # the base class asks for do_METHOD; all methods are served
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            self._refuse(411)
        elif not (length.isascii() and length.isdigit()):
            self._refuse(400)
        elif len(length) > 9 or int(length) > _MAX_BODY:
            self._refuse(413)
        else:
            body = self.rfile.read(int(length))
            whole = len(body) == int(length)
            self._send(self.server.respond(self._request(body)) if whole else None)

    def _request(self, body: bytes) -> Request:
        path, _, query = self.path.partition("?")
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        content_type = self.headers.get("Content-Type", "")
        return Request(self.command, path, pairs, content_type, body, self.number)

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        self._send(Reply(status, b"", "text/plain"))

    def _send(self, reply: Reply | None) -> None:
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: request lines hold the UserSig."""


class HttpServer(ThreadingMixIn, TCPServer):
    """Answers each request with what `respond` returns; None closes the connection unanswered."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, respond: Callable[[Request], Reply | None]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.respond = respond
        self.numbers = count(1)
        self._open: dict[socket.socket, threading.Thread] = {}
        self._loop = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Stop listening, close every connection and wait for their threads, 5 s at most each."""
        self.shutdown()
        self._loop.join()
        for connection, thread in list(self._open.items()):
            with suppress(OSError):  # closed in the meantime
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(5)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Print where an error came from, without its text: that may quote the UserSig."""
        kind, where = sys.exc_info()[0], sys.exc_info()[2]
        if kind and not issubclass(kind, OSError):  # an OSError is a client that went away
            print(kind.__name__, *traceback.format_tb(where), sep="\n", file=sys.stderr)
