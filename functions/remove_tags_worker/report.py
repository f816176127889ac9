"""What an invocation tells: its summary line, a few lines on faults and dead letters, metrics."""

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

from remove_tags_worker.batch import Batch
from timpush.metrics import (
    CALL_LATENCY,
    HANDED_BACK,
    NAMESPACE,
    TIMPUSH_DOWN,
    USERS_PER_CALL,
    USERSIG_SECONDS_LEFT,
    WORKER,
    counters,
)
from timpush.outcomes import EXPIRED
from timpush.queue.attributes import CARRIED
from timpush.removal.engine import Removal
from timpush.settings import USERSIG_LOW_SECONDS

if TYPE_CHECKING:
    from remove_tags_worker.app import Worker

MAX_LINES = 20
MAX_IDS = 1_000
FIX = {
    "credentials": "store a valid UserSig of an admin of this app in the secret",
    "configuration": "check the region, and the app's plan and Push feature in Tencent's console",
}
"""How a person fixes what stops every call, by reason."""

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


def report(batch: Batch, removal: Removal, worker: "Worker", seconds: float) -> None:
    """One summary line and the metrics; faults and dead letters in a few lines of their own."""
    log_faults(removal)
    log_dead_letters(batch, worker.settings.hash_accounts)
    usersig_seconds_left = report_usersig(worker)
    rejected = count_rejected(batch)
    removed = removal.ledger.removed()
    logger.info(
        "batch settled",
        extra={
            "messages": len(batch.documents) + len(batch.malformed),
            "users": len(removal.ledger.wanted),
            "calls": removal.counts["Calls"],
            "slowest_call_ms": round(max(removal.latencies, default=0.0) * 1000),
            "removed": removed,
            "parked": dict(rejected),
            "malformed_messages": len(batch.malformed),
            "handed_back": dict(Counter(batch.reasons())),
            "split": len(batch.successors),
            "usersig_seconds_left": usersig_seconds_left,
            "duration_ms": round(seconds * 1000),
            **carried_in_log(batch),
        },
    )
    counts = Counter(removal.counts) + count_returned(batch)
    if removal.ledger.unsent.code == "credentials":  # also where a refused UserSig was not sent
        counts["CredentialErrors"] = max(1, counts["CredentialErrors"])
    counts["UsersRemoved"], counts["UsersParked"] = removed, rejected.total()
    counts["UsersParkedExpired"] = rejected[str(EXPIRED.code)]
    counts["UsersParkedInput"] = rejected.total() - rejected[str(EXPIRED.code)]
    counts["MessagesParkedMalformed"] = len(batch.malformed)
    counts["ColdStarts"], worker.cold = int(worker.cold), False
    report_down(removal)
    measure(removal, counts)


# Metrics


def count_rejected(batch: Batch) -> Counter[str]:
    """How many users were rejected with each code."""
    return Counter(
        str(code)
        for rejected in batch.rejected.values()
        for _, code in {(account, outcome.code) for account, _, outcome in rejected}
    )


def count_returned(batch: Batch) -> Counter[str]:
    """How many messages return to the queue, whole or as their rest, in all and by reason."""
    reasons = batch.reasons()
    counts = Counter(HANDED_BACK.get(reason, "HandedBackUnknown") for reason in reasons)
    counts["MessagesHandedBack"] = len(reasons)
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


def report_down(removal: Removal) -> None:
    """Whether TIMPush is down; nothing while no call says so or disproves it."""
    if removal.down or removal.counts["Calls"] > removal.counts["CallsFailed"]:
        metrics.add_metric(TIMPUSH_DOWN, WORKER[TIMPUSH_DOWN].unit, int(removal.down))


def report_usersig(worker: "Worker") -> int | None:
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


# Log lines


def log_faults(removal: Removal) -> None:
    """Why no further call was started, and each code that was met, with Tencent's own text."""
    if removal.stopped:
        reason, fix = removal.stopped, FIX.get(str(removal.ledger.unsent.code))
        log = logger.error if fix else logger.warning
        log("no further call was started", extra={"reason": reason, "fix": fix})
    for (label, code, text), times in removal.faults.most_common(MAX_LINES):
        extra = {"error_class": label, "error_code": code, "error_info": text, "times": times}
        logger.warning("TIMPush refused", extra=extra)


def log_dead_letters(batch: Batch, hash_accounts: bool) -> None:
    """A line for each message with dead letters, at most 20, then how many more there are."""
    lines: list[dict[str, Any]] = [
        {"message_id": batch.message_id(key), "error_code": error.code}
        | {"reason": error.message[:500]}
        | _carried(batch, key)
        for key, error in batch.malformed.items()
    ]
    for key, rejected in batch.rejected.items():
        accounts = dict.fromkeys(account for account, _, _ in rejected)
        shown = [account_in_log(account, hash_accounts) for account in list(accounts)[:10]]
        codes = sorted({str(outcome.code) for _, _, outcome in rejected})
        line = {"message_id": batch.message_id(key), "error_code": codes, "users": len(accounts)}
        lines.append(line | {"some": shown} | _carried(batch, key))
    for line in lines[:MAX_LINES]:
        logger.warning("message parked", extra=line)
    if len(lines) > MAX_LINES:
        logger.warning("more messages parked", extra={"messages": len(lines) - MAX_LINES})


def log_unsent_rests(messages: int) -> None:
    """Messages that could not be split return whole: slower, and nothing is lost."""
    if messages:
        extra = {
            "messages": messages,
            "fix": "check that the function may send to the queue, and that the queue takes 1 MiB",
        }
        logger.warning("the rest of a message was not sent", extra=extra)


def _carried(batch: Batch, key: int) -> dict[str, str]:
    return {CARRIED[name]: value for name, value in batch.carried.get(key, {}).items()}


def carried_in_log(batch: Batch) -> dict[str, list[str]]:
    """What the batch's messages carry, each value once, such as the ids of the requests."""
    values = {
        f"{key}s": list(dict.fromkeys(v[name] for v in batch.carried.values() if name in v))
        for name, key in CARRIED.items()
    }
    return {key: found[:MAX_IDS] for key, found in values.items() if found}


def account_in_log(account: str, hash_accounts: bool) -> str:
    """The account, or the first 16 digits of its SHA-256: accounts are personal data."""
    return hashlib.sha256(account.encode()).hexdigest()[:16] if hash_accounts else account
