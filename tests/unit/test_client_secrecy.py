"""No error of a call holds the UserSig, and no server gets to see it without a proven name."""

import ssl
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from support.clients import refusing_url
from support.raw_server import DROP, Answer, RawServer, answer, raw_server, self_signed
from timpush.errors import CallError, ConnectionReuseError, TransientError
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credential

USERSIG = "eJyrVgrxCdYr*Sy1SslJQ-MtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUF__"
CREDENTIAL = Credential(1400000000, "administrator", USERSIG, 4_000_000_000)
DONE = answer(b'{"ActionStatus":"OK","ErrorCode":0}')
ECHO = (
    b'{"ActionStatus":"FAIL","ErrorCode":70003,"ErrorInfo":"bad '
    + f"{USERSIG} {quote_plus(USERSIG)}".encode()
    + b'"}'
)


def call(url: str | TimPushClient) -> None:
    client = TimPushClient(url, 1) if isinstance(url, str) else url
    client.remove_tag([("ann", ["gold"])], CREDENTIAL, time.monotonic() + 30)


def failure(url: str | TimPushClient) -> CallError:
    with pytest.raises(CallError) as caught:
        call(url)
    return caught.value


def shown(error: BaseException | None) -> Iterator[str]:
    """Everything that printing, logging or storing the error could show."""
    if error is None:
        return
    yield f"{error!s} {error!r} {error.args!r} {vars(error)!r}"
    yield "".join(traceback.format_exception(error))
    yield from getattr(error, "__notes__", [])
    yield from shown(error.__cause__)
    yield from shown(error.__context__)


class TestErrors:
    @pytest.mark.parametrize(
        "given",
        [
            DROP,
            Answer(b"\x00\x01\x02\r\n\r\n", keep=False),
            Answer(b"HTTP/1.1 abc\r\n\r\n", keep=False),
            Answer(DONE.data[:-5], keep=False),
            answer(b"x", Content_Encoding="gzip"),
            answer(status=302, Location=f"/?usersig={quote_plus(USERSIG)}"),
            answer(USERSIG.encode(), status=502),
            answer(USERSIG.encode()),
            answer(ECHO),
            answer(b'{"ActionStatus":"OK","ErrorCode":"' + USERSIG.encode() + b'"}'),
            answer(
                b'{"ErrorCode":0,"ActionStatus":"OK","ErrorList":["' + USERSIG.encode() + b'"]}'
            ),
        ],
        ids=lambda given: repr(given.data[-24:]),
    )
    def test_nothing_of_an_error_shows_the_usersig(self, given: Answer) -> None:
        with raw_server(given) as server:
            error = failure(server.url)
        text = " ".join(shown(error))
        assert USERSIG not in text
        assert quote_plus(USERSIG) not in text
        assert error.__cause__ is None
        assert error.__context__ is None

    def test_a_refused_connection_shows_nothing_either(self) -> None:
        with refusing_url() as url:
            error = failure(url)
        assert USERSIG[:12] not in " ".join(shown(error))
        assert error.__context__ is None


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS for 127.0.0.1, trusted because SSL_CERT_FILE names it."""
    context, file = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return context


def assert_refused(server: RawServer) -> None:
    error = failure(server.url)
    assert (type(error), error.code) == (TransientError, "SSLError")
    assert server.requests == []


class TestTls:
    def test_a_certificate_that_is_trusted_will_do(self, tls: ssl.SSLContext) -> None:
        with raw_server(DONE, DONE, tls=tls) as server:
            client = TimPushClient(server.url, 1)
            call(client)
            call(client)
        assert (server.connections, len(server.requests)) == (1, 2)

    def test_a_self_signed_certificate_is_refused_before_anything_is_sent(
        self, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with raw_server(DONE, tls=tls) as server:
            assert_refused(server)

    def test_a_trusted_certificate_of_another_name_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context, file = self_signed(tmp_path, address="127.0.0.2")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with raw_server(DONE, tls=context) as server:
            assert_refused(server)

    @pytest.mark.parametrize("end", [DROP, Answer(b"no TLS" * 99, keep=False, beneath_tls=True)])
    def test_a_kept_connection_that_dies_is_told_apart(
        self, tls: ssl.SSLContext, end: Answer
    ) -> None:
        with raw_server(DONE, end, DONE, tls=tls) as server:
            client = TimPushClient(server.url, 1)
            call(client)
            assert type(failure(client)) is ConnectionReuseError
            call(client)
        assert server.connections == 2

    def test_a_fresh_connection_that_dies_is_a_failure_like_others(
        self, tls: ssl.SSLContext
    ) -> None:
        with raw_server(DROP, tls=tls) as server:
            assert type(failure(server.url)) is TransientError
