"""What surrounds one or more environments of the worker: virtual time, TIMPush, a secret.

`World.worker` gives an `app.Worker` whose calls are answered by a function with what an HTTP reply
would hold, so that the reading of replies is the application's own. Every call is recorded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from remove_tags_worker.app import Worker
from support.environment import worker_environment
from support.scene import UNIX_START, StubSecrets
from support.virtual_time import VirtualTime
from timpush.errors import CallError
from timpush.messages import UserTags
from timpush.removal.engine import Environment
from timpush.settings import read_settings
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credential, Credentials
from timpush.tencent.replies import Failures, read_failures

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

OK = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


@dataclass(frozen=True)
class Answer:
    """What one call comes to: a reply, or `dropped`; after `latency` seconds, inf for never."""

    body: bytes = OK
    status: int = 200
    latency: float = 0.3
    dropped: CallError | None = None


@dataclass(frozen=True)
class Sent:
    """One call: when it started (clock and Unix seconds), and what it held."""

    at: float
    unix: float
    users: list[UserTags]
    usersig: str = field(repr=False)

    @cached_property
    def tags(self) -> dict[str, list[str]]:
        return dict(self.users)

    @property
    def accounts(self) -> list[str]:
        return [account for account, _ in self.users]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(account, tag) for account, tags in self.users for tag in tags]


Respond = Callable[[Sent], Answer]


class World:
    """Time, the secret and the calls of all environments; `jump` moves the wall clock alone."""

    def __init__(self) -> None:
        self.time = VirtualTime(unix=UNIX_START)
        self.secrets = StubSecrets(self.time)
        self.earliest = math.inf
        self.latest = -math.inf
        self._jumped = 0.0

    def now(self) -> float:
        """Unix seconds; the earliest and the latest that anybody was told are kept."""
        now = self.time.now() + self._jumped
        self.earliest, self.latest = min(self.earliest, now), max(self.latest, now)
        return now

    def jump(self, seconds: float) -> None:
        self._jumped += seconds

    def worker(
        self, respond: Respond, sqs: object, chance: float = 0.5, **variables: object
    ) -> Worker:
        """A fresh environment; `chance` is what randomness gives, `variables` the function's."""
        settings = read_settings(worker_environment(**variables))
        secrets = cast("SecretsManagerClient", self.secrets)
        environment = Environment(
            RespondingClient(self, respond),
            Credentials(secrets, settings.secret_id, self.now),
            settings.share,
            clock=self.time.clock,
            now=self.now,
            rest=self.time.rest,
            random=lambda: chance,
            executor=self.time.executor,
        )
        worker = Worker(settings, environment)
        worker.sqs = cast("SQSClient", sqs)
        return worker


class RespondingClient(TimPushClient):
    """Asks `respond` for what comes back, and reads it as the application does."""

    def __init__(self, world: World, respond: Respond) -> None:
        self._world = world
        self._respond = respond

    def remove_tag(
        self, users: list[UserTags], credential: Credential, deadline: float
    ) -> Failures:
        time, usersig = self._world.time, credential.usersig
        assert deadline > time.clock(), "a call that has no time"
        answer = self._respond(Sent(time.clock(), self._world.now(), list(users), usersig))
        time.spend(answer.latency)
        if answer.dropped:
            raise answer.dropped
        sent = {account for account, _ in users}
        return read_failures(answer.status, answer.body, sent, usersig)

    def drop_idle_connections(self) -> None:
        """There are no connections."""
