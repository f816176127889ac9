"""The environment -> one frozen Settings; every fault is named."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from timpush.errors import SettingsError
from timpush.regions import HOSTS

APP_CALLS_PER_SECOND = 100
"""Tencent's limit for an app; https://trtc.io/document/67822 (n.d.)."""
MAX_CONCURRENCY = 1_000
"""The most an event source mapping's MaximumConcurrency can be."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the worker needs to know.

    `endpoint_url` is where calls go; `calls_per_second` the budget of all environments together;
    `concurrency` how many of them run at once.
    """

    endpoint_url: str
    secret_id: str
    calls_per_second: int
    concurrency: int
    queue_url: str
    dead_letter_queue_url: str
    hash_accounts: bool

    @property
    def share(self) -> int:
        """The calls per second of one environment, at least 1."""
        return self.calls_per_second // self.concurrency


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the worker's settings.

    Raises:
        SettingsError: naming each variable that is missing or impossible, and the rule.
    """
    faults: list[str] = []

    def read(name: str, check: Callable[[str], T], default: T, optional: str | None = None) -> T:
        try:
            return check(environment.get(name, "").strip() or optional or "")
        except ValueError as error:
            faults.append(f"{name} {error}")
            return default

    host = read("TIMPUSH_REGION", _host, "")
    endpoint = read("TIMPUSH_ENDPOINT_URL", endpoint_url, "", optional=f"https://{host or 'x'}")
    settings = Settings(
        endpoint_url=endpoint,
        secret_id=read("TIMPUSH_SECRET_ID", _text, ""),
        calls_per_second=read("TIMPUSH_CALLS_PER_SECOND", _up_to(APP_CALLS_PER_SECOND), 1),
        concurrency=read("WORKER_CONCURRENCY", _up_to(MAX_CONCURRENCY), 1),
        queue_url=read("QUEUE_URL", _queue_url, ""),
        dead_letter_queue_url=read("DEAD_LETTER_QUEUE_URL", _queue_url, ""),
        hash_accounts=read("HASH_ACCOUNTS_IN_LOGS", _flag, True, optional="true"),
    )
    if settings.share < 1:
        faults.append(
            f"TIMPUSH_CALLS_PER_SECOND ({settings.calls_per_second}) must not be below "
            f"WORKER_CONCURRENCY ({settings.concurrency}): each environment needs a call a second"
        )
    if faults:
        raise SettingsError("; ".join(faults))
    return settings


def endpoint_url(value: str) -> str:
    """Check a base URL for calls: https to any host, http to loopback only.

    Raises:
        ValueError: with the rule that is broken; the text does not repeat the value.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an https URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https; plain http is for loopback only")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, query or fragment")
    if parts.port == 0:
        raise ValueError("must hold a port from 1 to 65535")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: str) -> str:
    if not value:
        raise ValueError("is missing")
    return value


def _host(value: str) -> str:
    if value not in HOSTS:
        raise ValueError(f"{'is unknown' if value else 'is missing'}: one of {', '.join(HOSTS)}")
    return HOSTS[value]


def _up_to(limit: int) -> Callable[[str], int]:
    def check(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError("must be a whole number" if value else "is missing")
        if not 1 <= int(value) <= limit:
            raise ValueError(f"must be from 1 to {limit}")
        return int(value)

    return check


def _queue_url(value: str) -> str:
    if not value:
        raise ValueError("is missing")
    if urlsplit(value).scheme not in ("https", "http"):
        raise ValueError("must be the queue's URL")
    return value


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"
