"""An HTTP server that answers with exactly the bytes a test gives it, over TCP or TLS."""

import datetime
import ipaddress
import os
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Semaphore, Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """Bytes to send for a request; then the connection is kept or closed.

    With `beneath_tls`, the bytes go out as they are where TLS is expected. `later` are more bytes,
    `pause` seconds before each.
    """

    data: bytes
    keep: bool = True
    beneath_tls: bool = False
    later: Sequence[bytes] = ()
    pause: float = 0.0


DROP = Answer(b"", keep=False)
LATE_SECONDS = 0.15


def late(data: bytes, later: bytes) -> Answer:
    """A reply, and on the same connection one that comes a moment after it."""
    return Answer(data, later=[later], pause=LATE_SECONDS)


def drip(data: bytes, seconds: float) -> Answer:
    """A reply that comes a byte at a time, with so many seconds between two."""
    return Answer(b"", later=[data[at : at + 1] for at in range(len(data))], pause=seconds)


def answer(body: bytes = b"", status: int = 200, keep: bool = True, **headers: str) -> Answer:
    """A whole HTTP reply; in the names of headers, _ stands for -."""
    fields = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return Answer("\r\n".join([*lines, "", ""]).encode() + body, keep)


class _Handler(StreamRequestHandler):
    timeout = PATIENCE_SECONDS
    server: "RawServer"

    def handle(self) -> None:
        self.server.connections += 1
        with suppress(OSError):
            while request := self._read_request():
                self.server.requests.append(request)
                given = next(self.server.answers, DROP)
                if given.beneath_tls:
                    os.write(self.request.fileno(), given.data)
                else:
                    self._send(given)
                if not given.keep:
                    return

    def _send(self, given: Answer) -> None:
        self.wfile.write(given.data)
        try:
            for part in given.later:
                time.sleep(given.pause)
                self.wfile.write(part)
        finally:
            if given.later:
                self.server.sent.release()

    def _read_request(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            head += line
        [length] = [
            int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"
        ]
        return head + self.rfile.read(length)


class RawServer(ThreadingTCPServer):
    """Gives each request the next answer, and closes the connection when there is none left.

    `requests` are the requests as they came; `connections` counts those that were accepted;
    `closed` can be acquired once for each that the server has closed, `sent` once for each answer
    whose later bytes were sent, or could not be.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: Sequence[Answer], tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: Iterator[Answer] = iter(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = Semaphore(0)
        self.sent = Semaphore(0)
        self._tls = tls
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        try:
            connection.settimeout(PATIENCE_SECONDS)
            return self._tls.wrap_socket(connection, server_side=True), address
        except OSError:  # a client that does not trust the certificate
            connection.close()
            raise

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.release()

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no error of the test."""


@contextmanager
def raw_server(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Serve these answers on a free port of 127.0.0.1 until the end of the block."""
    server = RawServer(answers, tls)
    loop = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    loop.start()
    try:
        yield server
    finally:
        server.shutdown()
        loop.join()
        server.server_close()


def self_signed(folder: Path, address: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context with a certificate for `address` of its own, and its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, file
