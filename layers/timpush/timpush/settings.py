"""The environment -> one frozen Settings; every fault is named."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from timpush.errors import SettingsError
from timpush.queue.delays import MAX_VISIBILITY_SECONDS
from timpush.tencent.regions import HOSTS

APP_CALLS_PER_SECOND = 100
"""Tencent's limit for an app; https://trtc.io/document/67822 (n.d.)."""
RESERVED_CALLS_PER_SECOND = 1
"""Not used by worker or endpoint: the rotation's test call, and the one that `doctor` makes."""
MAX_CONCURRENCY = 1_000
"""The most an event source mapping's MaximumConcurrency can be."""
MAX_VALIDITY_SECONDS = 315_360_000
"""10 years, Tencent's limit for a UserSig; https://trtc.io/document/34456 (n.d.)."""
SPARE_SECONDS = 43_200
"""A UserSig outlives the next rotation by so much: 12 hours to fix a rotation that fails."""
USERSIG_LOW_SECONDS = 36_000
"""Below 10 hours of life log, `doctor` and an alarm of monitoring/template.yaml warn."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the worker needs to know.

    `endpoint_url` is where calls go; `calls_per_second` the worker's part of the app's budget, for
    all environments together; `concurrency` how many of them run at once.
    """

    endpoint_url: str
    secret_id: str
    calls_per_second: int
    concurrency: int
    queue_url: str
    dead_letter_queue_url: str
    hash_accounts: bool
    retry_base_seconds: int
    retry_cap_seconds: int
    jobs_table: str = ""
    """The table of jobs; empty: jobs are off."""

    @property
    def share(self) -> int:
        """The calls per second of one environment, at least 1; a remainder is not used.

        A whole number, so that no second of an environment holds more starts than this.
        """
        return self.calls_per_second // self.concurrency


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the endpoint needs to know: where calls go, its secret, and the worker's queue."""

    endpoint_url: str
    secret_id: str
    queue_url: str


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """What the endpoint needs to know for jobs: their bucket and their table."""

    bucket: str
    table: str


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """What the rotation needs to know. `validity` is that of a new UserSig, in seconds."""

    endpoint_url: str
    signing_key_secret_id: str
    validity: int


class Reader:
    """Reads variables one by one and remembers every fault, so that one error names them all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def read(self, name: str, check: Callable[[str], T], fallback: T, optional: str = "") -> T:
        """The checked value of a variable; `optional` stands in when it is missing or empty.

        `fallback` is returned on a fault, which `close` will raise.
        """
        try:
            return check(self._environment.get(name, "").strip() or optional)
        except ValueError as error:
            self.faults.append(f"{name} {error}")
            return fallback

    def read_endpoint(self) -> str:
        """Where calls go: TIMPUSH_ENDPOINT_URL, else the host of TIMPUSH_REGION."""
        host = self.read("TIMPUSH_REGION", _host, "invalid")
        return self.read("TIMPUSH_ENDPOINT_URL", endpoint_url, "", optional=f"https://{host}")

    def close(self) -> None:
        """Raise what was found.

        Raises:
            SettingsError: naming each variable that is missing or impossible, and the rule.
        """
        if self.faults:
            raise SettingsError("; ".join(self.faults))


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the worker's settings.

    Raises:
        SettingsError: naming each variable that is missing or impossible, and the rule.
    """
    reader = Reader(environment)
    visibility = up_to(MAX_VISIBILITY_SECONDS)
    settings = Settings(
        endpoint_url=reader.read_endpoint(),
        secret_id=reader.read("TIMPUSH_SECRET_ID", text, ""),
        calls_per_second=read_calls_per_second(reader),
        concurrency=reader.read("WORKER_CONCURRENCY", up_to(MAX_CONCURRENCY), 1),
        queue_url=reader.read("QUEUE_URL", queue_url, ""),
        dead_letter_queue_url=reader.read("DEAD_LETTER_QUEUE_URL", queue_url, ""),
        hash_accounts=reader.read("HASH_ACCOUNTS_IN_LOGS", _flag, True, optional="true"),
        retry_base_seconds=reader.read("RETRY_BASE_SECONDS", visibility, 1, optional="30"),
        retry_cap_seconds=reader.read("RETRY_CAP_SECONDS", visibility, 1, optional="900"),
        jobs_table=environment.get("JOBS_TABLE", "").strip(),
    )
    if not reader.faults and settings.retry_base_seconds > settings.retry_cap_seconds:
        reader.faults.append(
            f"RETRY_BASE_SECONDS ({settings.retry_base_seconds}) must not be above "
            f"RETRY_CAP_SECONDS ({settings.retry_cap_seconds})"
        )
    if not reader.faults and settings.share < 1:
        reader.faults.append(
            f"the worker's calls per second ({settings.calls_per_second}, from "
            "TIMPUSH_CALLS_PER_SECOND, or APP_CALLS_PER_SECOND and API_CALLS_PER_SECOND) must not "
            f"be below WORKER_CONCURRENCY ({settings.concurrency}): each environment needs one"
        )
    reader.close()
    return settings


def read_calls_per_second(reader: Reader) -> int:
    """The calls per second of all workers together.

    TIMPUSH_CALLS_PER_SECOND says it outright. Otherwise it is what remains of APP_CALLS_PER_SECOND:

        app - 2 x API_CALLS_PER_SECOND - 1

    In its worst second the API's throttle lets through rate + burst requests of one call each, and
    the burst equals the rate; one call is kept for the rotation. So the sum is at most the app's.
    """
    given = reader.read("TIMPUSH_CALLS_PER_SECOND", _calls_or("none"), 1, optional="none")
    if given:
        return given
    app = reader.read("APP_CALLS_PER_SECOND", up_to(APP_CALLS_PER_SECOND), APP_CALLS_PER_SECOND)
    api = reader.read("API_CALLS_PER_SECOND", _calls_or("0"), 0, optional="0")
    remaining = app - 2 * api - RESERVED_CALLS_PER_SECOND
    if remaining < 1:
        reader.faults.append(
            f"APP_CALLS_PER_SECOND ({app}) must be above 2 x API_CALLS_PER_SECOND ({api}) + "
            f"{RESERVED_CALLS_PER_SECOND}: nothing is left to the worker"
        )
    return max(1, remaining)


def _calls_or(nothing: str) -> Callable[[str], int]:
    """A check for calls per second that takes `nothing` for 0."""
    return lambda value: 0 if value == nothing else up_to(APP_CALLS_PER_SECOND)(value)


def read_api_settings(environment: Mapping[str, str]) -> ApiSettings:
    """Read the endpoint's settings.

    Raises:
        SettingsError: naming each variable that is missing or impossible, and the rule.
    """
    reader = Reader(environment)
    settings = ApiSettings(
        endpoint_url=reader.read_endpoint(),
        secret_id=reader.read("TIMPUSH_SECRET_ID", text, ""),
        queue_url=reader.read("QUEUE_URL", queue_url, ""),
    )
    reader.close()
    return settings


def read_jobs_settings(environment: Mapping[str, str]) -> JobsSettings:
    """Read the endpoint's settings for jobs.

    Raises:
        SettingsError: naming each variable that is missing.
    """
    reader = Reader(environment)
    settings = JobsSettings(
        bucket=reader.read("JOBS_BUCKET", text, ""), table=reader.read("JOBS_TABLE", text, "")
    )
    reader.close()
    return settings


def read_rotation_settings(environment: Mapping[str, str]) -> RotationSettings:
    """Read the rotation's settings.

    Raises:
        SettingsError: naming each variable that is missing or impossible, and the rule.
    """
    reader = Reader(environment)
    validity = up_to(MAX_VALIDITY_SECONDS)
    settings = RotationSettings(
        endpoint_url=reader.read_endpoint(),
        signing_key_secret_id=reader.read("SIGNING_KEY_SECRET_ID", text, ""),
        validity=reader.read("USERSIG_VALIDITY_SECONDS", validity, 1),
    )
    schedule = reader.read("ROTATION_SCHEDULE", schedule_seconds, None, optional="none")
    if not reader.faults and schedule and settings.validity < schedule + SPARE_SECONDS:
        reader.faults.append(
            f"USERSIG_VALIDITY_SECONDS ({settings.validity}) must not be below the seconds of "
            f"ROTATION_SCHEDULE ({schedule}) + {SPARE_SECONDS}"
        )
    reader.close()
    return settings


def endpoint_url(value: str) -> str:
    """Check a base URL for calls: https to any host, http to loopback only.

    Raises:
        ValueError: with the rule that is broken; the text does not repeat the value.
    """
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its text repeats what it cannot read
        raise ValueError("must be an https URL") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not _is_plain(value):
        raise ValueError("must be an https URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https; plain http is for loopback only")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, query or fragment")
    if port == 0:
        raise ValueError("must hold a port from 1 to 65535")
    return value.rstrip("/")


def _is_plain(value: str) -> bool:
    """Whether every parser of URLs reads the same in it: ASCII without spaces and controls."""
    return value.isascii() and value.isprintable() and " " not in value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def text(value: str) -> str:
    """Check that there is a value.

    Raises:
        ValueError: with the rule that is broken.
    """
    if not value:
        raise ValueError("is missing")
    return value


def _host(value: str) -> str:
    if value not in HOSTS:
        raise ValueError(f"{'is unknown' if value else 'is missing'}: one of {', '.join(HOSTS)}")
    return HOSTS[value]


def up_to(limit: int) -> Callable[[str], int]:
    """A check for a whole number from 1 to `limit`; it raises ValueError with the broken rule."""

    def check(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError("must be a whole number" if value else "is missing")
        if not 1 <= int(value) <= limit:
            raise ValueError(f"must be from 1 to {limit}")
        return int(value)

    return check


def schedule_seconds(value: str) -> int | None:
    """The seconds between two rotations of a rate() of Secrets Manager; None for "none".

    Raises:
        ValueError: with the rule that is broken.
    """
    if value == "none":
        return None
    rate = re.fullmatch(r"rate\(([1-9][0-9]{0,3}) (hour|day)s?\)", value)
    if not rate:
        raise ValueError("must be a rate in hours or days, such as rate(1 day)")
    return int(rate[1]) * (3_600 if rate[2] == "hour" else 86_400)


def queue_url(value: str) -> str:
    """Check the URL of a queue.

    Raises:
        ValueError: with the rule that is broken.
    """
    if not value:
        raise ValueError("is missing")
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise ValueError("must be the queue's URL")
    return value


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"
