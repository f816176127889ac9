"""The stand-in TIMPush server, over real HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import urllib3

from timpush_server import Fault, Received, TimPushServer
from timpush_server import server as server_module
from timpush_server.server import DEMO_KEY
from timpush_server.signature import decode, read, sign

REMOVE, GET = "/v4/timpush/remove_tag", "/v4/timpush/get_tag"
OK = {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}


@pytest.fixture
def server() -> Iterator[TimPushServer]:
    with TimPushServer(calls_per_second=None) as started:
        started.tags.update({"ann": {"gold", "new"}, "bob": {"gold"}})
        yield started


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(10)) as manager:
        yield manager


class Clock:
    """Stands in for both of the server's clocks; tests move it by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        for name in ("monotonic", "unix_time"):
            monkeypatch.setattr(server_module, name, lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Client:
    """A bare client of one server; each part of the call can be put wrong."""

    def __init__(self, server: TimPushServer, pool: urllib3.PoolManager) -> None:
        self.server, self.pool, self.usersig = server, pool, server.usersig()

    def send(
        self, body: Any, path: str = REMOVE, method: str = "POST", headers: Any = None, **query: Any
    ) -> urllib3.BaseHTTPResponse:
        known = {
            "usersig": self.usersig,
            "identifier": self.server.identifier,
            "sdkappid": self.server.sdkappid,
            "random": 4294967295,
            "contenttype": "json",
        }
        chosen = {name: value for name, value in (known | query).items() if value is not None}
        return self.pool.request(
            method,
            f"{self.server.url}{path}?{urlencode(chosen)}",
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers=headers or {"Content-Type": "application/json"},
        )

    def call(self, body: Any, **how: Any) -> Any:
        response = self.send(body, **how)
        assert response.status == 200
        return response.json()

    def remove(self, account: str = "ann", *tags: str) -> Any:
        return self.call(removal((account, list(tags or ["gold"]))))

    def control(self, method: str, path: str, body: Any = None) -> Any:
        response = self.pool.request(method, f"{self.server.url}/_control/{path}", json=body)
        assert response.status == 200, response.data
        return response.json()


@pytest.fixture
def client(server: TimPushServer, pool: urllib3.PoolManager) -> Client:
    return Client(server, pool)


def removal(*users: tuple[Any, Any]) -> dict[str, Any]:
    return {"UserTags": [{"To_Account": account, "Tags": tags} for account, tags in users]}


class TestWork:
    def test_everyone_is_known_without_tags_if_so_wished(
        self, server: TimPushServer, client: Client
    ) -> None:
        server.knows_everyone = True
        server.account_codes["unknown"] = 70107
        reply = client.call(removal(("carl", ["gold"]), ("unknown", ["gold"])))
        assert [row["To_Account"] for row in reply["ErrorList"]] == ["unknown"]
        assert server.tags["carl"] == set()

    def test_known_users_lose_the_tags_named_and_no_others(
        self, server: TimPushServer, client: Client
    ) -> None:
        assert client.call(removal(("ann", ["gold", "absent"]), ("bob", ["gold"]))) == OK
        assert server.tags == {"ann": {"new"}, "bob": set()}

    def test_unknown_users_are_listed_and_the_others_done(
        self, server: TimPushServer, client: Client
    ) -> None:
        reply = client.call(removal(("cid", ["gold"]), ("ann", ["gold"])))
        assert reply == OK | {"ErrorList": [{"To_Account": "cid", "ErrorCode": 70107}]}
        assert server.tags["ann"] == {"new"}
        assert "cid" not in server.tags

    def test_account_codes_fail_single_users(self, server: TimPushServer, client: Client) -> None:
        server.account_codes["ann"] = 91000
        reply = client.call(removal(("ann", ["gold"]), ("bob", ["gold"])))
        assert reply["ErrorCode"] == 0
        assert [(e["To_Account"], e["ErrorCode"]) for e in reply["ErrorList"]] == [("ann", 91000)]
        assert server.tags == {"ann": {"gold", "new"}, "bob": set()}

    @pytest.mark.parametrize("setting", ["refused_accounts", "refused_tags"])
    def test_a_refused_account_or_tag_fails_the_whole_call(
        self, server: TimPushServer, client: Client, setting: str
    ) -> None:
        getattr(server, setting).update({"ann": 90048, "new": 90033})
        reply = client.call(removal(("bob", ["gold"]), ("ann", ["new"])))
        assert reply["ActionStatus"] == "FAIL"
        assert reply["ErrorCode"] == {"refused_accounts": 90048, "refused_tags": 90033}[setting]
        assert server.tags == {"ann": {"gold", "new"}, "bob": {"gold"}}

    def test_get_tag_lists_known_and_unknown_users(self, client: Client) -> None:
        reply = client.call({"To_Account": ["bob", "cid", "ann"]}, path=GET)
        assert reply == OK | {
            "UserTags": [
                {"To_Account": "bob", "Tags": ["gold"]},
                {"To_Account": "ann", "Tags": ["gold", "new"]},
            ],
            "ErrorList": [{"To_Account": "cid", "ErrorCode": 70107}],
        }

    def test_the_limits_themselves_are_accepted(
        self, server: TimPushServer, client: Client
    ) -> None:
        tags = [f"{n}{'é' * 24}x" for n in range(10)]  # 50 bytes each
        accounts = [f"379C2F0D-290D-47AE-94D1-9190{n:08}" for n in range(100)]
        server.tags.update({account: set(tags) for account in accounts})
        assert client.call(removal(*((account, tags) for account in accounts))) == OK
        assert not any(server.tags[account] for account in accounts)


BAD_BODIES: dict[str, tuple[Any, int]] = {
    "no JSON": (b'{"UserTags": [', 90001),
    "empty": (b"", 90001),
    "not UTF-8": (b'{"UserTags": "\xff"}', 90001),
    "nested too deep": (b"[" * 100_000, 90001),
    "number too long": (b"9" * 10_000, 90001),
    "null": (None, 90001),
    "list": ([], 90001),
    "no UserTags": ({}, 90001),
    "UserTags no list": ({"UserTags": {"To_Account": "ann"}}, 90001),
    "UserTags empty": ({"UserTags": []}, 90001),
    "user no object": ({"UserTags": ["ann"]}, 90001),
    "no To_Account": ({"UserTags": [{"Tags": ["gold"]}]}, 90001),
    "no Tags": ({"UserTags": [{"To_Account": "ann"}]}, 90001),
    "Tags a string": (removal(("ann", "gold")), 90001),
    "Tags empty": (removal(("ann", [])), 90001),
    "tag a number": (removal(("ann", [7])), 90001),
    "tag empty": (removal(("ann", [""])), 90001),
    "account empty": (removal(("", ["gold"])), 90001),
    "account twice": (removal(("ann", ["gold"]), ("ann", ["new"])), 90001),
    "101 accounts": (removal(*((f"u{n}", ["gold"]) for n in range(101))), 90018),
    "11 tags": (removal(("ann", [str(n) for n in range(11)])), 90032),
    "tag of 51 bytes": (removal(("ann", ["é" * 25 + "x"])), 90034),
    "tag of lone surrogates": (
        b'{"UserTags":[{"To_Account":"a","Tags":["%s"]}]}' % (b"\\ud800" * 17),
        90034,
    ),
    "account a number": (removal((7, ["gold"])), 60015),
    "account a list": (removal((["ann"], ["gold"])), 60015),
}
BAD_QUERIES = {
    "no list": ({"To_Account": "ann"}, 90001),
    "empty": ({"To_Account": []}, 90001),
    "twice": ({"To_Account": ["ann", "ann"]}, 90001),
    "number": ({"To_Account": [7]}, 60015),
    "101": ({"To_Account": [str(n) for n in range(101)]}, 90018),
}
BAD_HEADS: dict[str, tuple[dict[str, Any], int]] = {
    "path": ({"path": "/v4/timpush/add_tag"}, 60009),
    "path elsewhere": ({"path": "/v4/all_member_push/im_remove_tag"}, 60009),
    "method GET": ({"method": "GET"}, 60002),
    "method made up": ({"method": "FETCH"}, 60002),
    "content type": ({"headers": {"Content-Type": "text/plain"}}, 60002),
    "contenttype": ({"contenttype": "xml"}, 60025),
    "no contenttype": ({"contenttype": None}, 60025),
    "no random": ({"random": None}, 60002),
    "random too large": ({"random": 2**32}, 60002),
    "random very long": ({"random": "0" * 5000}, 60002),
    "random negative": ({"random": -1}, 60002),
    "random no digit": ({"random": "²"}, 60002),
    "no sdkappid": ({"sdkappid": None}, 60012),
    "no identifier": ({"identifier": None}, 60025),
    "no usersig": ({"usersig": None}, 70003),
    "identifier of another": ({"identifier": "admin2"}, 70013),
    "sdkappid of another": ({"sdkappid": 1400000001}, 70014),
}


class TestRefusals:
    @pytest.mark.parametrize(("body", "code"), BAD_BODIES.values(), ids=BAD_BODIES)
    def test_bodies(self, server: TimPushServer, client: Client, body: Any, code: int) -> None:
        reply = client.call(body)
        assert (reply["ActionStatus"], reply["ErrorCode"]) == ("FAIL", code)
        assert reply["ErrorInfo"]
        assert server.tags == {"ann": {"gold", "new"}, "bob": {"gold"}}
        assert client.remove() == OK

    @pytest.mark.parametrize(("body", "code"), BAD_QUERIES.values(), ids=BAD_QUERIES)
    def test_get_tag_bodies(self, client: Client, body: Any, code: int) -> None:
        assert client.call(body, path=GET)["ErrorCode"] == code

    @pytest.mark.parametrize(("how", "code"), BAD_HEADS.values(), ids=BAD_HEADS)
    def test_path_method_and_query(
        self, server: TimPushServer, client: Client, how: dict[str, Any], code: int
    ) -> None:
        reply = client.call(removal(("ann", ["gold"])), **how)
        assert (reply["ActionStatus"], reply["ErrorCode"]) == ("FAIL", code)
        assert "gold" in server.tags["ann"]

    def test_calls_that_are_no_http_do_no_harm(self, client: Client) -> None:
        host, port = urlsplit(client.server.url).hostname, urlsplit(client.server.url).port
        for text in (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"POST //[ HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST /v4/timpush/remove_tag HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n",
            b"POST /v4/timpush/remove_tag HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /v4/timpush/remove_tag HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort",
        ):
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        assert client.remove() == OK


def packed(document: Any) -> str:
    text = base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()
    return text.translate(str.maketrans("+/=", "*-_"))


BAD_USERSIGS: dict[str, tuple[dict[str, Any], int]] = {
    "expired": ({"time": 1600000000, "expire": 60}, 70001),
    "another key": ({"key": "0" * 64}, 70009),
    "another identifier": ({"identifier": "admin2"}, 70013),
    "another sdkappid": ({"sdkappid": 1400000001}, 70014),
}
UNDECODABLE = {
    "empty": "",
    "no base64": "eJ!",
    "not ASCII": "é",
    "no zlib": base64.b64encode(b"plain text").decode().replace("=", "_"),
    "cut short": sign("administrator", 1400000000, DEMO_KEY, 1600000000, 10**10)[:80],
    "no object": packed([1, 2]),
    "a field missing": packed({"TLS.identifier": "administrator"}),
    "a field of another type": packed(
        {"TLS.identifier": "a", "TLS.sdkappid": "1", "TLS.time": 1, "TLS.expire": 1, "TLS.sig": ""}
    ),
    "too large": packed(" " * 1_000_000),
}


class TestUserSig:
    def test_public_vector(self) -> None:
        vector = (
            "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQ"
            "WpYJkTE1NjRDiJZm5YFEzNPXFmekgGwyjTAPy0l2y3BNL01KDMwPynUorUjwizV29jb1CUhyzfAMsjYNNvM"
            "vCjH1tlWoBGhAzGw__"
        )
        made = sign("xiaojun", 1400000000, DEMO_KEY, 1600000000, 15552000)
        assert decode(made) == decode(vector)
        assert decode(made)["TLS.sig"] == "1Z5PngDjGaufeSiPoBuxdHY7EK3JTdAjMP93S4KvV3M="
        known = read(vector, DEMO_KEY)
        assert known
        assert (known.identifier, known.sdkappid, known.genuine) == ("xiaojun", 1400000000, True)
        assert known.expires_at == 1600000000 + 15552000
        other = read(vector, "another key")
        assert other
        assert not other.genuine

    @pytest.mark.parametrize(("made", "code"), BAD_USERSIGS.values(), ids=BAD_USERSIGS)
    def test_refused(self, client: Client, made: dict[str, Any], code: int) -> None:
        client.usersig = client.server.usersig(**made)
        assert client.remove()["ErrorCode"] == code

    @pytest.mark.parametrize("usersig", UNDECODABLE.values(), ids=UNDECODABLE)
    def test_undecodable(self, client: Client, usersig: str) -> None:
        client.usersig = usersig
        assert client.remove()["ErrorCode"] == 70003

    def test_tampered(self, client: Client) -> None:
        client.usersig = packed(decode(client.server.usersig()) | {"TLS.expire": 10**9})
        assert client.remove()["ErrorCode"] == 70009

    @pytest.mark.parametrize(
        ("claim", "code"), [({"sdkappid": 1400000001}, 70020), ({"identifier": "ann"}, 60010)]
    )
    def test_right_for_another_app_or_for_no_administrator(
        self, client: Client, claim: dict[str, Any], code: int
    ) -> None:
        usersig = client.server.usersig(**claim)
        assert client.call(removal(("ann", ["a"])), usersig=usersig, **claim)["ErrorCode"] == code

    def test_expiry_is_checked_on_each_call(self, client: Client, clock: Clock) -> None:
        client.usersig = client.server.usersig(time=int(clock.now), expire=60)
        clock.now = int(clock.now) + 60
        assert client.remove() == OK
        clock.now += 1
        assert client.remove()["ErrorCode"] == 70001

    def test_repeated_refusals_lock_the_app_for_a_while(
        self, pool: urllib3.PoolManager, clock: Clock
    ) -> None:
        with TimPushServer(lockout=3) as server:
            server.tags["ann"] = {"gold"}
            client = Client(server, pool)
            good, client.usersig = client.usersig, "bad"
            assert client.remove()["ErrorCode"] == 70003
            clock.now += 60  # too long ago to count with the next ones
            assert [client.remove()["ErrorCode"] for _ in range(4)] == [70003] * 3 + [70050]
            client.usersig = good
            clock.now += 59
            assert client.remove()["ErrorCode"] == 70050
            clock.now += 1
            assert client.remove() == OK

    def test_the_secret_is_what_the_application_keeps(self, server: TimPushServer) -> None:
        secret = json.loads(server.secret(identifier="admin2", expire=60))
        assert (secret["sdkappid"], secret["identifier"]) == (1400000000, "admin2")
        claims = decode(secret["usersig"])
        assert (claims["TLS.identifier"], claims["TLS.expire"]) == ("admin2", 60)
        assert set(secret) == {"sdkappid", "identifier", "usersig"}


class TestRate:
    def test_a_sliding_second_holds_no_more_than_the_limit(
        self, pool: urllib3.PoolManager, clock: Clock
    ) -> None:
        with TimPushServer(calls_per_second=5) as server:
            server.tags["ann"] = {"gold"}
            client = Client(server, pool)
            first = [client.remove()["ErrorCode"] for _ in range(3)]
            clock.now += 0.6
            second = [client.remove()["ErrorCode"] for _ in range(3)]
            clock.now += 0.6  # the first three have left the window, the second two have not
            third = [client.remove()["ErrorCode"] for _ in range(4)]
        assert first == [0, 0, 0]
        assert second == [0, 0, 60007]
        assert third == [0, 0, 0, 60007]

    @pytest.mark.usefixtures("clock")
    def test_a_bad_usersig_takes_no_place_but_a_bad_body_does(
        self, pool: urllib3.PoolManager
    ) -> None:
        with TimPushServer(calls_per_second=1) as server:
            client = Client(server, pool)
            body = removal(("ann", []))
            codes = [client.call(body, usersig=sig)["ErrorCode"] for sig in ("bad", client.usersig)]
            assert [*codes, client.call(body)["ErrorCode"]] == [70003, 90001, 60007]

    def test_two_hundred_calls_a_second_over_eight_connections(
        self, server: TimPushServer, client: Client
    ) -> None:
        users = [f"u{n}" for n in range(4_000)]
        server.tags.update({user: {"gold", "new"} for user in users})
        bodies = [removal(*((u, ["gold"]) for u in users[n : n + 20])) for n in range(0, 4000, 20)]
        with (
            urllib3.PoolManager(maxsize=8, block=True, retries=False) as pool,
            ThreadPoolExecutor(8) as threads,
        ):
            replies = list(threads.map(Client(server, pool).call, bodies))
        assert replies == [OK] * 200
        assert all(server.tags[user] == {"new"} for user in users)
        assert len({call.connection for call in server.received}) <= 8
        assert client.control("GET", "summary")["peak_calls_per_second"] >= 100


class TestFaults:
    def test_code(self, server: TimPushServer, client: Client) -> None:
        server.inject(Fault("code", code=91000, info="try again"), times=2)
        expected = {"ActionStatus": "FAIL", "ErrorCode": 91000, "ErrorInfo": "try again"}
        assert [client.remove() for _ in range(3)] == [expected, expected, OK]

    @pytest.mark.parametrize(
        ("fault", "status", "data"),
        [
            (Fault("status", status=502, body=b"<html>"), 502, b"<html>"),
            (Fault("status", status=429), 429, b""),
            (Fault("garbage", body=b"{"), 200, b"{"),
            (Fault("body", body=b'{"ErrorCode": "0"}'), 200, b'{"ErrorCode": "0"}'),
            (Fault("body"), 200, b""),
        ],
        ids=lambda value: value.kind if isinstance(value, Fault) else "",
    )
    def test_replies_that_are_none(
        self, server: TimPushServer, client: Client, fault: Fault, status: int, data: bytes
    ) -> None:
        server.inject(fault)
        response = client.send(removal(("ann", ["gold"])))
        assert (response.status, response.data) == (status, data)
        assert "gold" in server.tags["ann"]
        assert server.received[0].code is None

    def test_garbage_of_its_own_is_no_json(self, server: TimPushServer, client: Client) -> None:
        server.inject(Fault("garbage"))
        with pytest.raises(ValueError, match=r"JSON|codec|Expecting"):
            client.send(removal(("ann", ["gold"]))).json()

    @pytest.mark.parametrize(
        ("fault", "left"),
        [
            (Fault("drop"), {"gold", "new"}),
            (Fault("hang", seconds=0.2), {"gold", "new"}),
            (Fault("lost_reply"), {"new"}),
        ],
        ids=lambda value: value.kind if isinstance(value, Fault) else "",
    )
    def test_connections_that_close_unanswered(
        self, server: TimPushServer, client: Client, fault: Fault, left: set[str]
    ) -> None:
        server.inject(fault)
        began = time.monotonic()
        with pytest.raises(urllib3.exceptions.ProtocolError, match="without response"):
            client.remove()
        assert (time.monotonic() - began >= 0.2) == (fault.kind == "hang")
        assert server.tags["ann"] == left
        assert client.remove() == OK
        assert [(call.code, call.fault) for call in server.received] == [
            (None, fault.kind),
            (0, ""),
        ]

    def test_queued_before_standing_until_cleared(
        self, server: TimPushServer, client: Client
    ) -> None:
        server.set_fault(Fault("code", code=1))
        server.inject(Fault("code", code=2))
        server.inject(Fault("code", code=3))
        codes = [client.remove()["ErrorCode"] for _ in range(4)]
        server.set_fault(None)
        assert [*codes, client.remove()["ErrorCode"]] == [2, 3, 1, 1, 0]

    def test_a_fault_that_does_not_match_stays_queued(
        self, server: TimPushServer, client: Client
    ) -> None:
        server.inject(Fault("code", code=1, match="bo"))
        server.inject(Fault("code", code=2))
        codes = [client.remove(account)["ErrorCode"] for account in ("ann", "ann", "bob", "bob")]
        assert codes == [2, 0, 1, 0]
        server.set_fault(Fault("code", code=3, match="an"))
        assert [client.remove(account)["ErrorCode"] for account in ("bob", "ann")] == [0, 3]
        assert client.call({"To_Account": ["ann"]}, path=GET)["ErrorCode"] == 3

    def test_faults_that_cannot_be(self) -> None:
        with pytest.raises(ValueError, match="kind"):
            Fault("explode")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="status"):
            Fault("status", status=99)
        with pytest.raises(ValueError, match="seconds"):
            Fault("hang", seconds=-1)

    def test_a_stop_wakes_what_hangs_and_ends_every_thread(self, pool: urllib3.PoolManager) -> None:
        before = threading.active_count()
        with TimPushServer() as server, ThreadPoolExecutor(1) as threads:
            client = Client(server, pool)
            client.remove()  # leaves an idle connection behind
            server.inject(Fault("hang", seconds=60))
            hanging = threads.submit(client.remove)
            while len(server.received) < 2:
                time.sleep(0.01)
            began = time.monotonic()
            server.__exit__()
            assert isinstance(hanging.exception(5), urllib3.exceptions.HTTPError)
            assert time.monotonic() - began < 2
        assert threading.active_count() == before


class TestRecord:
    def test_calls_are_kept_in_order_with_what_they_held(
        self, server: TimPushServer, client: Client
    ) -> None:
        client.remove("ann", "gold", "new")
        client.call({"To_Account": ["bob"]}, path=GET, random=7)
        client.call(b"no JSON", path="/v4/timpush/other")
        client.call(b"{}", path="/elsewhere")
        assert [(c.path, c.users, c.code) for c in server.received] == [
            (REMOVE, [("ann", ["gold", "new"])], 0),
            (GET, [("bob", [])], 0),
            ("/v4/timpush/other", [], 60009),
        ]
        assert all(isinstance(call, Received) for call in server.received)
        assert server.received[0].at < server.received[1].at
        assert server.received[1].query["random"] == "7"
        assert server.received[0].query["usersig"] == client.usersig
        assert client.usersig not in repr(server.received)

    def test_connections_are_kept_alive_and_told_apart(self, server: TimPushServer) -> None:
        address = server.url.removeprefix("http://")
        one, other = HTTPConnection(address, timeout=5), HTTPConnection(address, timeout=5)
        for connection in (one, other, one):
            connection.request("POST", REMOVE, b"{}")
            assert connection.getresponse().read()
        one.close()
        other.close()
        first, second, third = (call.connection for call in server.received)
        assert first == third != second

    def test_keep_alive_costs_no_delayed_ack(self, server: TimPushServer, client: Client) -> None:
        began = time.monotonic()
        for _ in range(50):
            client.remove()
        assert time.monotonic() - began < 1  # Nagle would add 40 ms to each
        assert len({call.connection for call in server.received}) == 1

    def test_latency(self, server: TimPushServer, client: Client) -> None:
        server.latency = 0.2
        began = time.monotonic()
        assert client.remove() == OK
        assert time.monotonic() - began >= 0.2


class TestControlPlane:
    def test_tags_are_merged(self, server: TimPushServer, client: Client) -> None:
        assert client.control("PUT", "tags", {"ann": ["b", "a"], "cid": []}) == {}
        assert client.control("GET", "tags") == {
            "ann": ["a", "b", "gold", "new"],
            "bob": ["gold"],
            "cid": [],
        }
        assert server.tags["cid"] == set()

    def test_summary_and_received(
        self, server: TimPushServer, client: Client, clock: Clock
    ) -> None:
        server.inject(Fault("drop"))
        with pytest.raises(urllib3.exceptions.ProtocolError):
            client.remove()
        client.remove()
        client.call(removal(("ann", ["gold"]), ("cid", ["gold"])))
        clock.now += 1
        client.call(b"{}")
        assert client.control("GET", "summary") == {
            "calls": 4,
            "by_code": {"none": 1, "0": 2, "90001": 1},
            "users": 4,
            "peak_calls_per_second": 3,
        }
        rows = client.control("GET", "received")
        assert [row["fault"] for row in rows] == ["drop", "", "", ""]
        assert rows[2]["users"] == [["ann", ["gold"]], ["cid", ["gold"]]]
        assert set(rows[0]["query"]) == {"identifier", "sdkappid", "random", "contenttype"}
        assert set(rows[0]) == set(Received.__dataclass_fields__)

    def test_faults(self, client: Client) -> None:
        client.control("POST", "faults", {"fault": {"kind": "code", "code": 5}, "times": 2})
        standing = {"kind": "status", "status": 503, "body": "down"}
        client.control("PUT", "standing-fault", {"fault": standing})
        assert [client.remove()["ErrorCode"] for _ in range(2)] == [5, 5]
        response = client.send(removal(("ann", ["gold"])))
        assert (response.status, response.data) == (503, b"down")
        client.control("PUT", "standing-fault", {"fault": None})
        assert client.remove() == OK

    def test_settings(self, server: TimPushServer, client: Client) -> None:
        settings = {
            "account_codes": {"ann": 91000},
            "refused_accounts": {"bob": 90048},
            "refused_tags": {"new": 90033},
            "latency": 0.01,
            "calls_per_second": 3,
        }
        client.control("PUT", "settings", settings)
        assert {name: getattr(server, name) for name in settings} == settings
        assert client.remove()["ErrorList"][0]["ErrorCode"] == 91000
        assert client.remove("bob")["ErrorCode"] == 90048
        assert client.remove("ann", "new")["ErrorCode"] == 90033
        assert client.remove()["ErrorCode"] == 60007
        client.control("PUT", "settings", {"account_codes": {}, "calls_per_second": None})
        assert client.remove() == OK
        assert server.refused_accounts == {"bob": 90048}

    def test_usersig(self, client: Client) -> None:
        client.usersig = client.control("POST", "usersig")["usersig"]
        assert client.remove() == OK
        secret = client.control("POST", "usersig", {"expire": -1})
        client.usersig = secret.pop("usersig")
        assert secret == {"sdkappid": 1400000000, "identifier": "administrator"}
        assert client.remove()["ErrorCode"] == 70001

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "nothing", b"", 404),
            ("DELETE", "tags", b"", 405),
            ("PUT", "tags", b"{", 400),
            ("PUT", "tags", b"[" * 100_000, 400),
            ("PUT", "tags", b'{"new": ["a"], "ann": "gold"}', 400),
            ("PUT", "tags", b"[]", 400),
            ("POST", "faults", b"{}", 400),
            ("POST", "faults", b'{"fault": {"code": 5}}', 400),
            ("POST", "faults", b'{"fault": {"kind": "explode"}}', 400),
            ("POST", "faults", b'{"fault": {"kind": "drop", "bogus": 1}}', 400),
            ("POST", "faults", b'{"fault": {"kind": "hang", "seconds": "1"}}', 400),
            ("POST", "faults", b'{"fault": {"kind": "body", "body": 1}}', 400),
            ("POST", "faults", b'{"fault": {"kind": "drop"}, "times": "2"}', 400),
            ("PUT", "standing-fault", b"{}", 400),
            ("PUT", "settings", b'{"latency": -1}', 400),
            ("PUT", "settings", b'{"latency": 1, "bogus": 1}', 400),
            ("PUT", "settings", b'{"calls_per_second": "5"}', 400),
            ("PUT", "settings", b'{"account_codes": {"ann": "5"}}', 400),
            ("POST", "usersig", b'{"bogus": 1}', 400),
        ],
    )
    def test_mistakes_are_answered_and_change_nothing(
        self,
        server: TimPushServer,
        client: Client,
        method: str,
        path: str,
        body: bytes,
        status: int,
    ) -> None:
        response = client.pool.request(method, f"{server.url}/_control/{path}", body=body)
        assert response.status == status
        assert response.json()["error"]
        assert set(server.tags) == {"ann", "bob"}
        assert server.latency == 0
        assert client.remove() == OK


class TestCommandLine:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_serves_until_told_to_stop(self, pool: urllib3.PoolManager, number: int) -> None:
        tests = Path(server_module.__file__).parents[1]
        options = ["--port", "0", "--calls-per-second", "1", "--latency", "0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "timpush_server", *options],
            env=os.environ | {"PYTHONPATH": str(tests)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout
            said, _, url = process.stdout.readline().strip().rpartition(" ")
            assert said == "listening on"
            client = Client(TimPushServer(), pool)
            client.server.url = url
            client.usersig = client.control("POST", "usersig")["usersig"]
            client.control("PUT", "tags", {"ann": ["gold"]})
            assert [client.remove()["ErrorCode"] for _ in range(2)] == [0, 60007]
            assert client.control("GET", "tags") == {"ann": []}
            process.send_signal(number)
            assert process.wait(10) == 0
        finally:
            process.kill()
            output, errors = process.communicate()
        assert (output, errors) == ("", "")
