"""Calls over real HTTP: what goes out, which connection it takes, and how it ends."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import pytest

from support.clients import refusing_url
from support.raw_server import DROP, Answer, answer, drip, late, raw_server
from timpush.errors import CallError, ConnectionReuseError, OddReplyError, TransientError
from timpush.tencent.client import (
    CALL_SECONDS,
    IDLE_SECONDS,
    MAX_CALL_SECONDS,
    TimPushClient,
)
from timpush.tencent.connection import CONNECT_SECONDS, MAX_REPLY_BYTES, READ_SECONDS
from timpush.tencent.credentials import Credential
from timpush_server import Fault, TimPushServer

OK = b'{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}'
DONE = answer(OK)
USERS = [("ann", ["gold"])]
USERSIG = "eJyrVgrxCdYr*Sy1SslJQ-MtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUF__"
CREDENTIAL = Credential(1400000000, "admin &=名/+%", USERSIG, 4_000_000_000)


@pytest.fixture
def server() -> Iterator[TimPushServer]:
    with TimPushServer(calls_per_second=None, identifier=CREDENTIAL.identifier) as started:
        started.tags.update({"ann": {"gold", "new"}, "bob": {"gold"}})
        yield started


def credential(server: TimPushServer) -> Credential:
    return Credential(server.sdkappid, server.identifier, server.usersig(), 4_000_000_000)


def call(
    client: TimPushClient, credential: Credential = CREDENTIAL, seconds: float = 30
) -> dict[str, CallError]:
    return client.remove_tag(USERS, credential, time.monotonic() + seconds)


def failure(
    client: TimPushClient, credential: Credential = CREDENTIAL, seconds: float = 30
) -> CallError:
    with pytest.raises(CallError) as caught:
        call(client, credential, seconds)
    return caught.value


class TestRequest:
    def test_the_stand_in_takes_it_and_removes_the_tags(self, server: TimPushServer) -> None:
        users = [("ann", ["gold", "new"]), ("carl", ["gold"]), ("bob", ["other"])]
        client = TimPushClient(server.url, 1)
        failures = client.remove_tag(users, credential(server), time.monotonic() + 30)
        assert {account: error.code for account, error in failures.items()} == {"carl": 70107}
        assert server.tags == {"ann": set(), "bob": {"gold"}}

    def test_asking_for_tags_goes_to_the_other_command(self, server: TimPushServer) -> None:
        client = TimPushClient(server.url, 1)
        failures = client.get_tag(["ann", "carl"], credential(server), time.monotonic() + 30)
        assert set(failures) == {"carl"}
        assert server.received[0].path == "/v4/timpush/get_tag"

    def test_it_is_a_post_of_compact_json_with_everything_in_the_query_encoded(self) -> None:
        with raw_server(DONE) as server:
            client = TimPushClient(f"{server.url}/proxy", 1, randbits=lambda bits: 2**bits - 1)
            client.remove_tag([("名", ["a", "é"])], CREDENTIAL, time.monotonic() + 30)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        first, *fields = head.decode("ascii").split("\r\n")
        method, target, version = first.split(" ")
        assert (method, version) == ("POST", "HTTP/1.1")
        assert urlsplit(target).path == "/proxy/v4/timpush/remove_tag"
        assert dict(parse_qsl(urlsplit(target).query, strict_parsing=True)) == {
            "usersig": USERSIG,
            "identifier": CREDENTIAL.identifier,
            "sdkappid": "1400000000",
            "random": "4294967295",
            "contenttype": "json",
        }
        assert "*" not in target
        assert "Content-Type: application/json" in fields
        assert body == '{"UserTags":[{"To_Account":"名","Tags":["a","é"]}]}'.encode()

    def test_each_call_has_a_random_number_of_its_own(self, server: TimPushServer) -> None:
        client, signed = TimPushClient(server.url, 1), credential(server)
        for _ in range(20):
            call(client, signed)
        numbers = {int(one.query["random"]) for one in server.received}
        assert len(numbers) == 20
        assert all(0 <= number < 2**32 for number in numbers)

    def test_no_proxy_of_the_environment_gets_to_see_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with raw_server(DONE) as proxy, raw_server(DONE) as server:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert call(TimPushClient(server.url, 1)) == {}
            assert (len(proxy.requests), len(server.requests)) == (0, 1)


class TestConnections:
    def test_one_is_kept_for_the_next_call(self, server: TimPushServer) -> None:
        client, signed = TimPushClient(server.url, 4), credential(server)
        for _ in range(5):
            call(client, signed)
        assert {one.connection for one in server.received} == {1}

    def test_there_are_no_more_than_calls_in_flight(self, server: TimPushServer) -> None:
        client, signed = TimPushClient(server.url, 4), credential(server)
        with ThreadPoolExecutor(4) as executor:
            assert list(executor.map(lambda _: call(client, signed), range(40))) == [{}] * 40
        assert len({one.connection for one in server.received}) <= 4

    @pytest.mark.parametrize(("rest", "connections"), [(29.0, 1), (31.0, 2), (-60.0, 2)])
    def test_they_are_dropped_after_a_rest(self, rest: float, connections: int) -> None:
        now = 1_000.0
        with raw_server(DONE, DONE, DONE) as server:
            client = TimPushClient(server.url, 1, now=lambda: now)
            call(client)
            now += rest
            client.drop_idle_connections()
            call(client)
            call(client)
        assert server.connections == connections
        assert IDLE_SECONDS == 30

    def test_one_that_was_closed_while_it_rested_is_opened_again(self) -> None:
        with raw_server(answer(OK, keep=False), DONE) as server:
            client = TimPushClient(server.url, 1)
            call(client)
            assert server.closed.acquire(timeout=10)
            assert call(client) == {}
            assert server.connections == 2

    def test_a_kept_one_that_dies_before_the_reply_is_told_apart(self) -> None:
        with raw_server(DONE, DROP, DONE) as server:
            client = TimPushClient(server.url, 1)
            call(client)
            assert type(failure(client)) is ConnectionReuseError
            assert call(client) == {}
            assert server.connections == 2

    def test_a_fresh_one_that_dies_is_a_failure_like_others(self) -> None:
        with raw_server(DROP) as server:
            assert type(failure(TimPushClient(server.url, 1))) is TransientError

    def test_a_kept_one_that_dies_amid_the_reply_is_a_failure_like_others(self) -> None:
        half = Answer(DONE.data[:-10], keep=False)
        with raw_server(DONE, half, DONE) as server:
            client = TimPushClient(server.url, 1)
            call(client)
            assert type(failure(client)) is TransientError
            assert call(client) == {}

    def test_another_thread_that_connects_makes_a_kept_connection_no_fresh_one(
        self, server: TimPushServer
    ) -> None:
        client, signed = TimPushClient(server.url, 2), credential(server)
        call(client, signed)
        server.inject(Fault("hang", seconds=1, match="ann"))
        with ThreadPoolExecutor(1) as executor:
            dying = executor.submit(failure, client, signed)
            arrived(server, 2)
            client.remove_tag([("bob", ["gold"])], signed, time.monotonic() + 30)
            assert type(dying.result(30)) is ConnectionReuseError
        assert [one.connection for one in server.received] == [1, 1, 2]


def interim(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nX: y\r\n\r\n".encode()


def refuses(code: int) -> bytes:
    """A reply that may not be taken for that of another call."""
    return answer(b'{"ActionStatus":"FAIL","ErrorCode":%d}' % code).data


class TestWhoseReply:
    """No reply is taken for that of another call."""

    @pytest.mark.parametrize("status", [101, 204, 304, 404, 502, 503])
    def test_a_late_reply_after_another_status_goes_nowhere(self, status: int) -> None:
        early = answer(status=status)
        with raw_server(late(early.data, DONE.data), Answer(refuses(70107)), DONE) as server:
            client = TimPushClient(server.url, 1)
            error = failure(client)
            assert (type(error), error.code) == (OddReplyError, f"HTTP{status}")
            assert server.sent.acquire(timeout=10), "the late 200 is on its way"
            assert failure(client).code == 70107
            assert server.connections == 2

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"ActionStatus":"OK"}'])
    def test_a_late_reply_after_an_odd_one_goes_nowhere(self, body: bytes) -> None:
        with raw_server(late(answer(body).data, DONE.data), Answer(refuses(70107))) as server:
            client = TimPushClient(server.url, 1)
            assert type(failure(client)) is OddReplyError
            assert server.sent.acquire(timeout=10)
            assert failure(client).code == 70107
            assert server.connections == 2

    @pytest.mark.parametrize("status", [100, 102, 103])
    def test_interim_replies_are_skipped(self, status: int) -> None:
        first = Answer(interim(status) * 3 + DONE.data)
        with raw_server(first, DONE) as server:
            client = TimPushClient(server.url, 1)
            assert (call(client), call(client)) == ({}, {})
            assert server.connections == (1 if status == 100 else 2)

    def test_an_interim_reply_without_end_ends_with_the_call(self) -> None:
        with raw_server(drip(interim(103) * 10_000, seconds=0.001)) as server:
            assert failure(TimPushClient(server.url, 1), seconds=0.4).code == "ReadTimeoutError"

    @pytest.mark.parametrize("extra", [DONE.data, b"x", b"\r\n", interim(103), b"HTTP/1.1 200 OK"])
    def test_a_connection_with_bytes_behind_the_reply_is_not_kept(self, extra: bytes) -> None:
        with raw_server(Answer(DONE.data + extra), Answer(refuses(70107))) as server:
            client = TimPushClient(server.url, 1)
            assert call(client) == {}
            assert failure(client).code == 70107
            assert server.connections == 2

    def test_a_connection_over_which_bytes_come_later_is_not_used(self) -> None:
        with raw_server(late(DONE.data, DONE.data), Answer(refuses(70107))) as server:
            client = TimPushClient(server.url, 1)
            assert call(client) == {}
            assert server.sent.acquire(timeout=10)
            assert failure(client).code == 70107
            assert server.connections == 2

    @pytest.mark.parametrize("code", [91000, 60007, 70001, 60026, 90001, 12345])
    def test_a_connection_is_not_kept_after_a_failure(self, code: int) -> None:
        with raw_server(Answer(refuses(code)), DONE) as server:
            client = TimPushClient(server.url, 1)
            assert failure(client).code == code
            assert call(client) == {}
            assert server.connections == 2

    def test_a_connection_is_not_kept_when_the_server_will_close_it(self) -> None:
        with raw_server(answer(OK, Connection="close"), DONE) as server:
            client = TimPushClient(server.url, 1)
            assert (call(client), call(client)) == ({}, {})
            assert server.connections == 2


class TestDrip:
    """A call has a bound as a whole, however small the steps in which its reply comes."""

    @pytest.mark.parametrize("data", [DONE.data, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200])
    def test_it_ends_with_the_deadline(self, data: bytes) -> None:
        with raw_server(drip(data, seconds=0.1), DONE) as server:
            client, began = TimPushClient(server.url, 1), time.monotonic()
            error = failure(client, seconds=0.6)
            assert (type(error), error.code) == (TransientError, "ReadTimeoutError")
            assert 0.5 < time.monotonic() - began < 1.5
            assert server.closed.acquire(timeout=10), "the socket is closed at the bound"
            assert call(client) == {}

    def test_without_a_near_deadline_it_ends_after_the_most_a_call_takes(self) -> None:
        clock = Clock(step=0.5)
        with raw_server(drip(DONE.data, seconds=0.01)) as server:
            client = TimPushClient(server.url, 1, clock=clock)
            with pytest.raises(TransientError, match="ReadTimeoutError"):
                client.remove_tag(USERS, CREDENTIAL, 1_000.0)
        assert clock.seconds <= MAX_CALL_SECONDS + 2 * clock.step

    def test_it_ends_though_the_server_does_not_read(self) -> None:
        many = [(f"user-{n}", ["x" * 50] * 10) for n in range(30_000)]
        with deaf_server() as url:
            began = time.monotonic()
            with pytest.raises(TransientError, match="ReadTimeoutError"):
                TimPushClient(url, 1).remove_tag(many, CREDENTIAL, began + 1.5)
            assert time.monotonic() - began < READ_SECONDS

    def test_all_addresses_of_a_host_share_the_time_to_connect(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with full_server() as address:
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 4
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            began = time.monotonic()
            error = failure(TimPushClient("http://timpush.test", 1))
            assert error.code == "ConnectTimeoutError"
            assert time.monotonic() - began < CONNECT_SECONDS + 1


@dataclass
class Clock:
    """Each look at it takes `step` seconds."""

    step: float
    seconds: float = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


@contextmanager
def deaf_server() -> Iterator[str]:
    """Takes connections and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def full_server() -> Iterator[tuple[str, int]]:
    """An address that answers no attempt to connect: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as stack:
        address = listening.getsockname()
        for _ in range(3):
            taken = stack.enter_context(socket.socket())
            taken.setblocking(False)
            taken.connect_ex(address)
        yield address


def arrived(server: TimPushServer, calls: int) -> None:
    """Wait until so many calls have arrived, at most 10 s."""
    give_up = time.monotonic() + 10
    while len(server.received) < calls:
        assert time.monotonic() < give_up
        time.sleep(0.005)


class TestEnds:
    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (Fault("status", status=502), "HTTP502"),
            (Fault("status", status=200, body=b""), "NotJSON"),
            (Fault("garbage"), "NotJSON"),
            (Fault("drop"), "ProtocolError"),
            (Fault("lost_reply"), "ProtocolError"),
            (Fault("body", body=b"x" * (2 * MAX_REPLY_BYTES)), "ReplyTooLarge"),
            (Fault("code", code=91000), 91000),
        ],
        ids=lambda value: str(getattr(value, "kind", value)),
    )
    def test_a_call_that_came_to_nothing_is_transient_and_the_next_one_works(
        self, server: TimPushServer, fault: Fault, code: int | str
    ) -> None:
        server.inject(fault)
        client, signed = TimPushClient(server.url, 1), credential(server)
        error = failure(client, signed)
        odd = code != 91000 and code != "ProtocolError"
        assert (type(error), error.code) == (OddReplyError if odd else TransientError, code)
        assert call(client, signed) == {}

    def test_silence_ends_with_the_deadline(self, server: TimPushServer) -> None:
        server.inject(Fault("hang", seconds=4))
        client, signed = TimPushClient(server.url, 1), credential(server)
        error = failure(client, signed, seconds=0.3)  # had the peer hung up: ProtocolError
        assert (type(error), error.code) == (TransientError, "ReadTimeoutError")
        assert call(client, signed) == {}

    def test_a_call_may_take_longer_than_the_backends_3_seconds(self) -> None:
        assert 3 < CALL_SECONDS <= READ_SECONDS
        assert MAX_CALL_SECONDS == CONNECT_SECONDS + READ_SECONDS

    def test_after_its_deadline_no_call_starts(self, server: TimPushServer) -> None:
        error = failure(TimPushClient(server.url, 1), credential(server), seconds=0)
        assert (type(error), error.code) == (TransientError, "Deadline")
        assert server.received == []

    def test_a_refused_connection_is_transient(self) -> None:
        with refusing_url() as url:
            assert type(failure(TimPushClient(url, 1))) is TransientError

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status: int) -> None:
        with raw_server(DONE) as other:
            moved = answer(status=status, Location=f"{other.url}/v4/timpush/remove_tag")
            with raw_server(moved) as server:
                error = failure(TimPushClient(server.url, 1))
        assert (type(error), error.code) == (OddReplyError, f"HTTP{status}")
        assert other.requests == []

    def test_a_reply_that_swells_when_unpacked_is_cut_off(self) -> None:
        bomb = answer(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
        with raw_server(bomb) as server:
            assert failure(TimPushClient(server.url, 1)).code == "ReplyTooLarge"

    def test_a_reply_without_end_is_cut_off(self) -> None:
        endless = answer(b"x" * (MAX_REPLY_BYTES + 1), Content_Length=str(10**12))
        with raw_server(endless, DONE) as server:
            client = TimPushClient(server.url, 1)
            assert failure(client, seconds=5).code == "ReplyTooLarge"
            assert call(client) == {}
            assert server.connections == 2, "on the first one, the rest of the reply may follow"

    def test_a_reply_may_come_in_chunks(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in OK) + b"0\r\n\r\n"
        with raw_server(Answer(head + chunks), DONE) as server:
            client = TimPushClient(server.url, 1)
            assert (call(client), call(client)) == ({}, {})
            assert server.connections == 1

    def test_a_reply_of_100_failed_users_is_read(self) -> None:
        users = [(f"user-{n:032d}", ["gold"]) for n in range(100)]
        rows = [{"To_Account": a, "ErrorCode": 90001, "ErrorInfo": "x" * 400} for a, _ in users]
        with raw_server(
            answer(json.dumps(json.loads(OK) | {"ErrorList": rows}).encode())
        ) as server:
            client = TimPushClient(server.url, 1)
            assert len(client.remove_tag(users, CREDENTIAL, time.monotonic() + 30)) == 100
