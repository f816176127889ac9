"""The server: tags per account, the checks that need state, faults, and the record of calls."""

import json
import threading
from collections import deque
from time import monotonic
from time import time as unix_time
from typing import Any, NoReturn, Self

from timpush_server import calls, control
from timpush_server.calls import GET_TAG, REMOVE_TAG, CallError, Received, Users
from timpush_server.faults import Fault, FaultQueue
from timpush_server.signature import read, sign
from timpush_server.transport import HttpServer, Reply, Request

# Published by Tencent in its signing libraries for demonstration; it opens no real app.
DEMO_KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
LOCKOUT_SECONDS = 60.0  # refused UserSigs are counted over, and an app stays locked for, this long
UNKNOWN_ACCOUNT = 70107


class TimPushServer:
    """Serves remove_tag and get_tag on 127.0.0.1 from `with` to its end; a port of 0 is any.

    An account is known if `tags` has it as a key, be its set empty; with `knows_everyone` each is
    known from its first call on, without tags. `account_codes` gives an
    account that code in ErrorList, its tags stay; a call that holds one of `refused_accounts` or
    `refused_tags` fails as a whole with that code. `calls_per_second` is the most accepted in any
    sliding second (None: no limit); `lockout` refused UserSigs in a minute lock the app for a
    minute (None: never). The work is done on arrival, the reply leaves `latency` seconds later.
    """

    def __init__(
        self,
        *,
        sdkappid: int = 1400000000,
        identifier: str = "administrator",
        key: str = DEMO_KEY,
        calls_per_second: int | None = 100,
        latency: float = 0.0,
        port: int = 0,
        lockout: int | None = 20,
    ) -> None:
        self.sdkappid, self.identifier, self.key = sdkappid, identifier, key
        self.calls_per_second, self.latency, self.lockout = calls_per_second, latency, lockout
        self.url = ""
        self.tags: dict[str, set[str]] = {}
        self.knows_everyone = False
        self.received: list[Received] = []
        self.account_codes: dict[str, int] = {}
        self.refused_accounts: dict[str, int] = {}
        self.refused_tags: dict[str, int] = {}
        self.lock = threading.RLock()  # around all of the state
        self._port = port
        self._faults = FaultQueue()
        self._accepted: deque[float] = deque()
        self._refused_usersigs: deque[float] = deque()
        self._locked_until = 0.0
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._stopping.clear()
        self._http = HttpServer(self._port, self._respond)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._http.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._http.stop()

    def inject(self, fault: Fault, times: int = 1) -> None:
        """Queue a fault: the next `times` calls that it matches take one each."""
        with self.lock:
            self._faults.put(fault, times)

    def set_fault(self, fault: Fault | None) -> None:
        """Set the fault of every call that takes no queued one, until cleared with None."""
        with self.lock:
            self._faults.standing = fault

    def usersig(
        self,
        *,
        identifier: str | None = None,
        sdkappid: int | None = None,
        key: str | None = None,
        time: int | None = None,
        expire: int = 15_552_000,
    ) -> str:
        """Return a UserSig, by default one that this server accepts, for 180 days from now."""
        return sign(
            self.identifier if identifier is None else identifier,
            self.sdkappid if sdkappid is None else sdkappid,
            self.key if key is None else key,
            int(unix_time()) if time is None else time,
            expire,
        )

    def secret(self, **as_usersig: Any) -> str:
        """Return the application's secret as JSON, its UserSig made from the same arguments."""
        document = {"sdkappid": self.sdkappid, "identifier": self.identifier}
        chosen = {name: as_usersig[name] for name in document if as_usersig.get(name) is not None}
        return json.dumps(document | chosen | {"usersig": self.usersig(**as_usersig)})

    def _respond(self, request: Request) -> Reply | None:
        if request.path.startswith("/_control/"):
            return control.respond(self, request)
        document = calls.parse_json(request.body)
        users = calls.readable_users(document)
        with self.lock:
            call = Received(
                monotonic(), request.path, users, None, request.query, request.connection, ""
            )
            fault = None
            if request.path.startswith("/v4/timpush/"):
                self.received.append(call)
            if request.path in (REMOVE_TAG, GET_TAG):
                fault = self._faults.take([account for account, _ in users])
            reply = self._reply(call, fault, request, document)
            delay = self.latency + (fault.seconds if fault and fault.kind == "hang" else 0)
        return None if self._stopping.wait(delay) else reply

    def _reply(
        self, call: Received, fault: Fault | None, request: Request, document: Any
    ) -> Reply | None:
        call.fault = fault.kind if fault else ""
        match fault:
            case Fault(kind="drop" | "hang"):
                return None
            case Fault(kind="lost_reply"):
                self._work(call, request, document)
                return None
            case Fault(kind="status"):
                return Reply(fault.status, fault.body, "text/html")
            case Fault(kind="garbage"):
                return Reply(200, fault.body or b"\x00<html>not JSON", "text/html")
            case Fault(kind="body"):
                return Reply(200, fault.body)
            case Fault():
                answer = calls.failure(fault.code, fault.info)
            case None:
                answer = self._work(call, request, document)
        call.code = answer["ErrorCode"]
        return Reply(200, json.dumps(answer).encode())

    def _work(self, call: Received, request: Request, document: Any) -> dict[str, Any]:
        try:
            if call.path not in (REMOVE_TAG, GET_TAG):
                raise CallError(60009, "resource error, check the URL")
            calls.check_head(request.method, request.content_type, request.query)
            self._check_usersig(request.query, call.at)
            self._check_rate(call.at)
            check, work = (
                (calls.check_removal, self._remove)
                if call.path == REMOVE_TAG
                else (calls.check_query, self._get)
            )
            users = check(document)
            self._check_refused(users)
            return work(users)
        except CallError as error:
            return calls.failure(error.code, error.info)

    def _check_usersig(self, query: dict[str, str], now: float) -> None:
        if now < self._locked_until:
            raise CallError(70050, "UserSig refused too often, wait a minute")
        usersig = read(query.get("usersig", ""), self.key)
        if usersig is None:
            self._refuse_usersig(70003, "UserSig cannot be decoded", now)
        if usersig.identifier != query["identifier"]:
            self._refuse_usersig(70013, "UserSig is for another identifier", now)
        if str(usersig.sdkappid) != query["sdkappid"]:
            self._refuse_usersig(70014, "UserSig is for another SDKAppID", now)
        if unix_time() > usersig.expires_at:
            self._refuse_usersig(70001, "UserSig expired", now)
        if not usersig.genuine:
            self._refuse_usersig(70009, "signature is wrong", now)
        if usersig.sdkappid != self.sdkappid:
            raise CallError(70020, "SDKAppID not found")
        if usersig.identifier != self.identifier:
            raise CallError(60010, "identifier is no administrator")

    def _refuse_usersig(self, code: int, info: str, now: float) -> NoReturn:
        refused = self._refused_usersigs
        refused.append(now)
        while now - refused[0] >= LOCKOUT_SECONDS:
            refused.popleft()
        if self.lockout is not None and len(refused) >= self.lockout:
            self._locked_until = now + LOCKOUT_SECONDS
        raise CallError(code, info)

    def _check_rate(self, now: float) -> None:
        while self._accepted and now - self._accepted[0] >= 1:
            self._accepted.popleft()
        if self.calls_per_second is not None and len(self._accepted) >= self.calls_per_second:
            raise CallError(60007, "too many calls a second")
        self._accepted.append(now)

    def _check_refused(self, users: Users) -> None:
        for account, tags in users:
            if account in self.refused_accounts:
                raise CallError(self.refused_accounts[account], "account refused")
            for tag in tags:
                if tag in self.refused_tags:
                    raise CallError(self.refused_tags[tag], "tag refused")

    def _account_error(self, account: str) -> dict[str, Any] | None:
        """Return the account's row of ErrorList, or None if all is well with it."""
        if account in self.account_codes:
            code = self.account_codes[account]
            return {"To_Account": account, "ErrorCode": code, "ErrorInfo": "account failed"}
        if self.knows_everyone:
            self.tags.setdefault(account, set())
        if account not in self.tags:
            return {"To_Account": account, "ErrorCode": UNKNOWN_ACCOUNT}  # documented bare
        return None

    def _remove(self, users: Users) -> dict[str, Any]:
        errors = [self._account_error(account) for account, _ in users]
        for (account, tags), error in zip(users, errors, strict=True):
            if not error:
                self.tags[account].difference_update(tags)
        return calls.success([error for error in errors if error])

    def _get(self, users: Users) -> dict[str, Any]:
        errors = [self._account_error(account) for account, _ in users]
        found = [
            {"To_Account": account, "Tags": sorted(self.tags[account])}
            for (account, _), error in zip(users, errors, strict=True)
            if not error
        ]
        return {**calls.success([error for error in errors if error]), "UserTags": found}
