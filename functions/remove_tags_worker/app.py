"""SQS batch -> batchItemFailures: parse each message, remove its users' tags, settle it."""

import gc
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from timpush.errors import MalformedMessageError
from timpush.messages import Document, parse
from timpush.metrics import (
    CALL_LATENCY,
    HANDED_BACK,
    NAMESPACE,
    USERS_PER_CALL,
    USERSIG_SECONDS_LEFT,
    WORKER,
    counters,
)
from timpush.outcomes import EXPIRED, Ledger
from timpush.queue.dead_letter import Failed, park_failed, park_malformed, send_parked
from timpush.queue.delays import backoff_seconds, set_delays
from timpush.queue.sender import CARRIED, JOB_ID, JOB_USERS, MAX_CARRIED
from timpush.removal.engine import Environment, Removal, calls_in_flight
from timpush.removal.packing import merge
from timpush.settings import USERSIG_LOW_SECONDS, Settings, read_settings
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credentials
from timpush.tencent.redaction import guard_logs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SETTLE_SECONDS = 4.0
"""Kept free at the end, to park messages and to reply."""
REPLY_SECONDS = 0.5
DELAY_SECONDS = 2.0
"""The most spent on visibility timeouts: without them, the queue's own holds."""
MAX_LINES = 20
MAX_IDS = 1_000
MAX_JOBS = 20
MEND = {
    "credentials": "store a valid UserSig of an admin of this app in the secret",
    "configuration": "check the region, and the app's plan and Push feature in Tencent's console",
}
CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}
)
"""Of the AWS clients: the defaults would outlast the function."""

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


@dataclass(slots=True)
class Batch:
    """The messages of an event by id: what they ask for, or why that can never be done.

    `carried` holds the attributes that stay with a message's users, where it has any.
    """

    records: dict[str, Mapping[str, Any]]
    carried: dict[str, dict[str, str]] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    malformed: dict[str, tuple[str, MalformedMessageError]] = field(default_factory=dict)
    failed: dict[str, list[Failed]] = field(default_factory=dict)
    handed_back: dict[str, str] = field(default_factory=dict)


@dataclass
class Worker:
    """What this environment keeps between invocations; `cold` until the first has ended."""

    settings: Settings
    environment: Environment
    cold: bool = True

    @cached_property
    def sqs(self) -> "SQSClient":
        """Made when something fails: a start in which all goes well does without."""
        return boto3.client("sqs", config=CONFIG)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Remove the tags that the event's messages name; report the messages to be tried again.

    Raises:
        SettingsError: the environment is not as it must be; SQS keeps every message.
    """
    began = time.monotonic()
    deadline = began + context.get_remaining_time_in_millis() / 1000
    logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
    worker = make_worker(read_settings(os.environ))
    return handle(event["Records"], worker, deadline, began)


def handle(
    records: Iterable[Mapping[str, Any]],
    worker: Worker,
    deadline: float,
    began: float | None = None,
) -> dict[str, list[dict[str, str]]]:
    """Do the records' removals and settle each message by `deadline` (of the worker's clock).

    `began` is when the invocation did, by default now.
    """
    began = worker.environment.clock() if began is None else began
    with uncollected():
        batch = read_batch(records)
        wanted = merge(batch.documents.values())
        removal = Removal(wanted, worker.environment, deadline - SETTLE_SECONDS, began)
    removal.run()
    settle(batch, removal.ledger)
    park(batch, worker, deadline - REPLY_SECONDS)
    delay(batch, worker, deadline - REPLY_SECONDS)
    report(batch, removal, worker, worker.environment.clock() - began)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in batch.handed_back]}


@contextmanager
def uncollected() -> Iterator[None]:
    """Reading makes many objects and no garbage: to look for some takes time for nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@lru_cache(maxsize=1)
def make_worker(settings: Settings) -> Worker:
    """Build what the environment keeps."""
    guard_logs()
    secrets = Credentials(boto3.client("secretsmanager", config=CONFIG), settings.secret_id)
    client = TimPushClient(settings.endpoint_url, calls_in_flight(settings.share))
    environment = Environment(client, secrets, settings.share)
    return Worker(settings, environment)


def read_batch(records: Iterable[Mapping[str, Any]]) -> Batch:
    """Parse each message once, however often the event holds it."""
    batch = Batch({record["messageId"]: record for record in records})
    for message_id, record in batch.records.items():
        carried = read_carried(record)
        if carried:
            batch.carried[message_id] = carried
        try:
            batch.documents[message_id] = parse(record["body"])
        except MalformedMessageError as error:
            batch.malformed[message_id] = record["body"], error
    return batch


def read_carried(record: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of a record that parked messages and log lines hold too."""
    attributes = record.get("messageAttributes")
    if not attributes:
        return {}
    values = {name: attributes.get(name, {}).get("stringValue") for name in CARRIED}
    return {name: value for name, value in values.items() if value and len(value) <= MAX_CARRIED}


def settle(batch: Batch, ledger: Ledger) -> None:
    """Decide each message: handed back when any of its tags is, else failed when any failed."""
    for message_id, document in batch.documents.items():
        unsettled = ledger.outcomes(document.users)
        reason = next((str(o.code) for _, _, o in unsettled if o.state == "retry"), "")
        if reason:
            batch.handed_back[message_id] = reason
        elif unsettled:
            batch.failed[message_id] = unsettled


def park(batch: Batch, worker: Worker, deadline: float) -> None:
    """Send what failed to the dead-letter queue; a message that did not get there is handed back.

    `deadline` is a time of the worker's clock.
    """
    parked = [
        park_malformed(one, *fault, batch.carried.get(one))
        for one, fault in batch.malformed.items()
    ]
    for message_id, failed in batch.failed.items():
        parked.extend(park_failed(message_id, failed, batch.carried.get(message_id)))
    if not parked:
        return
    queue_url, clock = worker.settings.dead_letter_queue_url, worker.environment.clock
    unsent = send_parked(worker.sqs, queue_url, parked, deadline, clock)
    for message_id in sorted(unsent):
        batch.handed_back[message_id] = "parking"
        batch.malformed.pop(message_id, None)
        batch.failed.pop(message_id, None)


def delay(batch: Batch, worker: Worker, deadline: float) -> None:
    """Keep what is handed back out of sight for its backoff, as far as time allows."""
    clock = worker.environment.clock
    delays = [
        (handle, backoff(worker.settings, batch.records[message_id], reason))
        for message_id, reason in batch.handed_back.items()
        if (handle := batch.records[message_id].get("receiptHandle"))
    ]
    if not delays:
        return
    sqs = worker.sqs
    until = min(deadline, clock() + DELAY_SECONDS)
    set_delays(sqs, worker.settings.queue_url, delays, until, clock)


def backoff(settings: Settings, record: Mapping[str, Any], reason: str) -> int:
    """Seconds until the record's message is to be received again."""
    receive_count = int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))
    base, cap = settings.retry_base_seconds, settings.retry_cap_seconds
    return backoff_seconds(reason, receive_count, base, cap)


def report(batch: Batch, removal: Removal, worker: Worker, seconds: float) -> None:
    """One summary line and the metrics; faults and parked messages in a few lines of their own."""
    log_faults(removal)
    log_parked(batch, worker.settings.hash_accounts)
    usersig_seconds_left = report_usersig(worker)
    parked = count_parked(batch)
    removed = removal.ledger.removed()
    logger.info(
        "batch settled",
        extra={
            "messages": len(batch.documents) + len(batch.malformed),
            "users": len(removal.ledger.wanted),
            "calls": removal.counts["Calls"],
            "slowest_call_ms": round(max(removal.latencies, default=0.0) * 1000),
            "removed": removed,
            "parked": dict(parked),
            "malformed_messages": len(batch.malformed),
            "handed_back": dict(Counter(batch.handed_back.values())),
            "usersig_seconds_left": usersig_seconds_left,
            "duration_ms": round(seconds * 1000),
            **jobs_in_log(batch),
            **carried_in_log(batch),
        },
    )
    counts = Counter(removal.counts) + count_handed_back(batch)
    counts["UsersRemoved"], counts["UsersParked"] = removed, parked.total()
    counts["UsersParkedExpired"] = parked[str(EXPIRED.code)]
    counts["UsersParkedInput"] = parked.total() - parked[str(EXPIRED.code)]
    counts["MessagesParkedMalformed"] = len(batch.malformed)
    counts["ColdStarts"], worker.cold = int(worker.cold), False
    measure(removal, counts)


def count_parked(batch: Batch) -> Counter[str]:
    """How many users were parked with each code."""
    return Counter(
        str(code)
        for failed in batch.failed.values()
        for _, code in {(account, outcome.code) for account, _, outcome in failed}
    )


def count_handed_back(batch: Batch) -> Counter[str]:
    """How many messages are handed back, in all and by reason."""
    counts = Counter(
        HANDED_BACK.get(reason, "HandedBackUnknown") for reason in batch.handed_back.values()
    )
    counts["MessagesHandedBack"] = len(batch.handed_back)
    return counts


def measure(removal: Removal, counts: Counter[str]) -> None:
    """Emit the metrics. Those of single calls come first: a hundred values fill a line."""
    for users in removal.users_per_call:
        metrics.add_metric(USERS_PER_CALL, WORKER[USERS_PER_CALL].unit, users)
    for seconds in list(removal.latencies):  # a call that was given up may still end
        metrics.add_metric(CALL_LATENCY, WORKER[CALL_LATENCY].unit, round(seconds * 1000))
    for name in counters(WORKER, counts):
        metrics.add_metric(name, WORKER[name].unit, counts[name])
    metrics.flush_metrics()


def report_usersig(worker: Worker) -> int | None:
    """How many seconds the UserSig lives: as a metric, and in a line when they are few.

    None when the secret was not read.
    """
    credentials = worker.environment.credentials
    seconds = credentials.seconds_left()
    if seconds is None:
        return None
    metrics.add_metric(USERSIG_SECONDS_LEFT, WORKER[USERSIG_SECONDS_LEFT].unit, seconds)
    if seconds < USERSIG_LOW_SECONDS or credentials.fault:
        extra = {
            "secret": worker.settings.secret_id,
            "usersig_seconds_left": round(seconds),
            "reason": credentials.fault or "the UserSig expires soon, or cannot be used",
        }
        logger.warning("the UserSig needs a look", extra=extra)
    return round(seconds)


def log_faults(removal: Removal) -> None:
    """Why no further call was started, and each code that struck, with Tencent's own text."""
    if removal.stopped:
        reason, mend = removal.stopped, MEND.get(str(removal.ledger.unsent.code))
        log = logger.error if mend else logger.warning
        log("no further call was started", extra={"reason": reason, "mend": mend})
    for (label, code, text), users in removal.faults.most_common(MAX_LINES):
        extra = {"error_class": label, "error_code": code, "error_info": text, "times": users}
        logger.warning("TIMPush refused", extra=extra)


def log_parked(batch: Batch, hash_accounts: bool) -> None:
    """A line a parked message, at most 20, then how many more there are."""
    carried = {
        one: {CARRIED[name]: value for name, value in values.items()}
        for one, values in batch.carried.items()
    }
    lines: list[dict[str, Any]] = [
        {"message_id": one, "error_code": error.code, "reason": error.message[:500]}
        | carried.get(one, {})
        for one, (_, error) in batch.malformed.items()
    ]
    for message_id, failed in batch.failed.items():
        accounts = dict.fromkeys(account for account, _, _ in failed)
        shown = [account_in_log(account, hash_accounts) for account in list(accounts)[:10]]
        codes = sorted({str(outcome.code) for _, _, outcome in failed})
        line = {"message_id": message_id, "error_code": codes, "users": len(accounts)}
        lines.append(line | {"some": shown} | carried.get(message_id, {}))
    for line in lines[:MAX_LINES]:
        logger.warning("message parked", extra=line)
    if len(lines) > MAX_LINES:
        logger.warning("more messages parked", extra={"messages": len(lines) - MAX_LINES})


def carried_in_log(batch: Batch) -> dict[str, list[str]]:
    """What the batch's messages carry, each value once, such as the ids of the requests."""
    values = {
        f"{key}s": list(dict.fromkeys(v[name] for v in batch.carried.values() if name in v))
        for name, key in CARRIED.items()
    }
    return {key: found[:MAX_IDS] for key, found in values.items() if found}


def jobs_in_log(batch: Batch) -> dict[str, Any]:
    """What became of the users of each job: of the 20 with the most users, and how many more.

    The users of a message count as removed or parked once, when it is acknowledged; as handed
    back each time it comes back.
    """
    jobs: dict[str, Counter[str]] = {}
    for message_id, carried in batch.carried.items():
        if JOB_ID in carried:
            counts = jobs.setdefault(carried[JOB_ID], Counter())
            counts.update(count_users(batch, message_id))
            counts["sent"] = max(counts["sent"], read_job_users(batch.records[message_id]))
    if not jobs:
        return {}
    shown = sorted(jobs, key=lambda job: jobs[job]["users"], reverse=True)[:MAX_JOBS]
    return {"jobs": {job: jobs[job] for job in shown}, "jobs_left_out": len(jobs) - len(shown)}


def count_users(batch: Batch, message_id: str) -> dict[str, int]:
    """How many users a message holds, and what became of them; a malformed one holds none."""
    document = batch.documents.get(message_id)
    users = len(document.users) if document else 0
    if message_id in batch.handed_back:
        return {"messages": 1, "users": users, "removed": 0, "parked": 0, "handed_back": users}
    failed = {account for account, _, _ in batch.failed.get(message_id, [])}
    parked = sum(account in failed for account, _ in document.users) if document and failed else 0
    removed = users - parked
    return {"messages": 1, "users": users, "removed": removed, "parked": parked, "handed_back": 0}


def read_job_users(record: Mapping[str, Any]) -> int:
    """How many users the record's job has in all, 0 when it does not say."""
    attribute = (record.get("messageAttributes") or {}).get(JOB_USERS, {})
    value = attribute.get("stringValue") or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0


def account_in_log(account: str, hash_accounts: bool) -> str:
    """The account, or the first 16 digits of its SHA-256: accounts are personal data."""
    return hashlib.sha256(account.encode()).hexdigest()[:16] if hash_accounts else account
