"""One environment of the worker in virtual time: a scripted TIMPush, a secret, invocations.

Every invocation is checked for what must hold in each of them, see `Scene._check`.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from support.virtual_time import VirtualTime
from timpush.errors import CallError
from timpush.messages import Document, UserTags
from timpush.outcomes import Outcome, Wanted
from timpush.removal.engine import Environment, Removal
from timpush.removal.packing import merge
from timpush.tencent.client import CALL_SECONDS, TimPushClient
from timpush.tencent.codes import call_error
from timpush.tencent.credentials import Credential, Credentials
from timpush.tencent.replies import Failures
from timpush.tencent.usersig import sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SDKAPPID = 1400000000
UNIX_START = 1_800_000_000
YEAR = 365 * 86_400


@dataclass(frozen=True)
class Reply:
    """What TIMPush answers to one call, and when: an error of the whole call, or users listed."""

    error: CallError | None = None
    failures: Failures = field(default_factory=dict)
    latency: float = 0.3


@dataclass(frozen=True)
class Started:
    """One call: when it started, with what, and the reply it will get."""

    at: float
    users: list[UserTags]
    usersig: str
    deadline: float
    reply: Reply

    @property
    def accounts(self) -> list[str]:
        return [account for account, _ in self.users]

    @property
    def ended(self) -> float:
        return self.at + self.reply.latency


Script = Callable[[list[UserTags], Credential], Reply]


def succeed(*_: object) -> Reply:
    return Reply()


def failing(code: int, info: str = "said TIMPush", latency: float = 0.3) -> Reply:
    """The whole call fails with this code."""
    return Reply(call_error(code, info), latency=latency)


def listing(accounts: Iterable[str], code: int, latency: float = 0.3) -> Reply:
    """The call goes through, but for these accounts."""
    return Reply(failures={one: call_error(code, "listed") for one in accounts}, latency=latency)


def replies(*answers: Reply) -> Script:
    """The answers one after the other, then success."""
    rest = iter(answers)
    return lambda *_: next(rest, Reply())


def refusing(refused: Iterable[str], code: int, latency: float = 0.3) -> Script:
    """A call fails as a whole when it holds one of these accounts or tags."""
    bad = frozenset(refused)

    def script(users: list[UserTags], _: Credential) -> Reply:
        held = {account for account, _ in users}.union(*(tags for _, tags in users))
        return failing(code, latency=latency) if held & bad else Reply(latency=latency)

    return script


def want(users: int, tags: int = 1, prefix: str = "user") -> Wanted:
    """So many users with so many tags each, with no `NotAfter`: user-0 with user-0-tag-0, ..."""
    return {
        f"{prefix}-{user}": {f"{prefix}-{user}-tag-{tag}": math.inf for tag in range(tags)}
        for user in range(users)
    }


def usersig(key: str, validity: int = YEAR) -> str:
    return sign(SDKAPPID, "administrator", key, UNIX_START, validity)


def secret(signed: str) -> str:
    return json.dumps({"sdkappid": SDKAPPID, "identifier": "administrator", "usersig": signed})


class StubSecrets:
    """Secrets Manager with one secret; a read takes `seconds`, and raises an exception `value`.

    `later` is a time of the clock and the value from then on.
    """

    def __init__(self, time: VirtualTime) -> None:
        self.value: str | Exception = secret(usersig("first"))
        self.later: tuple[float, str] | None = None
        self.seconds = 0.0
        self.read_at: list[float] = []
        self._time = time
        self._stored: list[tuple[float, str]] = []

    def at(self, clock: float, value: str) -> None:
        """From this time (of the clock) on, the secret has this value."""
        self._stored.append((clock, value))

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        for clock, value in self._stored:
            if clock <= self._time.clock():
                self.value = value
        self.read_at.append(self._time.clock())
        self._time.spend(self.seconds)
        if self.later and self._time.clock() >= self.later[0]:
            self.value = self.later[1]
        if isinstance(self.value, Exception):
            raise self.value
        return {"SecretString": self.value}


class ScriptedClient(TimPushClient):
    """Asks the script for each call's reply."""

    def __init__(self, time: VirtualTime, script: Script) -> None:
        self.script = script
        self.started: list[Started] = []
        self._time = time

    def remove_tag(
        self, users: list[UserTags], credential: Credential, deadline: float
    ) -> Failures:
        reply = self.script(users, credential)
        self.started.append(
            Started(self._time.clock(), list(users), credential.usersig, deadline, reply)
        )
        self._time.spend(reply.latency)
        if reply.error:
            raise reply.error
        return reply.failures

    def drop_idle_connections(self) -> None:
        """There are no connections."""


class Scene:
    """An environment whose share is `share` calls a second; `chance` is what randomness gives."""

    def __init__(
        self,
        script: Script = succeed,
        share: int = 25,
        chance: float | Callable[[], float] = 0.5,
    ) -> None:
        self.chance = chance
        self.time = VirtualTime(unix=UNIX_START)
        self.secrets = StubSecrets(self.time)
        self.client = ScriptedClient(self.time, script)
        self.environment = Environment(
            self.client,
            Credentials(cast("SecretsManagerClient", self.secrets), "secret", self.time.now),
            share,
            clock=self.time.clock,
            now=self.time.now,
            rest=self.time.rest,
            random=self._random,
            executor=self.time.executor,
        )
        self._earlier = 0

    def _random(self) -> float:
        return self.chance() if callable(self.chance) else self.chance

    @property
    def started(self) -> list[Started]:
        """The calls of the latest invocation."""
        return self.client.started[self._earlier :]

    def invoke(
        self, wanted: Wanted | list[Document], seconds: float = 110.0, reading: float = 0.0
    ) -> Removal:
        """One invocation that may call for so many seconds; the checks that always hold.

        It takes `reading` seconds before it knows what is wanted.
        """
        began = self.time.clock()
        self._earlier, deadline = len(self.client.started), began + seconds
        self.time.spend(reading)
        wants = merge(wanted) if isinstance(wanted, list) else wanted
        removal = Removal(wants, self.environment, deadline, began)
        removal.run()
        self._check(removal, deadline)
        return removal

    def _check(self, removal: Removal, deadline: float) -> None:
        assert self.time.clock() <= deadline, "it outlasted its deadline"
        assert removal.counts["Calls"] == len(self.started)
        for call in self.started:
            assert 1 <= len(call.users) <= 100
            assert len(set(call.accounts)) == len(call.users), "an account twice in a call"
            assert all(1 <= len(set(tags)) == len(tags) <= 10 for _, tags in call.users)
            assert call.at + CALL_SECONDS <= call.deadline == deadline
        share = self.environment.calls_per_second
        starts = [call.at for call in self.client.started]
        for first, beyond in zip(starts, starts[share:], strict=False):
            assert beyond - first > 1, f"more than {share} starts within a second"


def proven(script: Script, share: int = 25) -> Scene:
    """An environment whose UserSig TIMPush has taken before."""
    scene = Scene(share=share)
    scene.invoke(want(1, prefix="earlier"))
    scene.client.script = script
    return scene


def states(removal: Removal) -> dict[str, set[str]]:
    """Account -> the states that its tags ended in."""
    return {
        account: {removal.ledger.outcome(account, tag).state for tag in tags}
        for account, tags in removal.ledger.wanted.items()
    }


def ended(removal: Removal, state: str) -> set[str]:
    """The tags that ended so."""
    return {tag for _, tag, outcome in outcomes(removal) if outcome.state == state}


def outcomes(removal: Removal) -> list[tuple[str, str, Outcome]]:
    return [
        (account, tag, removal.ledger.outcome(account, tag))
        for account, tags in removal.ledger.wanted.items()
        for tag in tags
    ]


def reasons(removal: Removal) -> set[int | str]:
    """Why tags were returned to the queue."""
    return {one.code for _, _, one in outcomes(removal) if one.state == "retry"}
