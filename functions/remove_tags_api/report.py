"""What a request leaves in log and metrics."""

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics

from remove_tags_api.reply import Settled
from timpush.errors import ConfigurationError, CredentialsError, SecretError, TimPushError
from timpush.metrics import CALL_LATENCY, ENDPOINT, NAMESPACE, USERSIG_SECONDS_LEFT, counters
from timpush.removal.single import Removed

if TYPE_CHECKING:
    from remove_tags_api.environment import Endpoint

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


def report(removal: Removed, settled: Settled, endpoint: "Endpoint", seconds: float) -> None:
    """One summary line and the metrics; why the call failed in a line of its own."""
    if removal.error:
        log_fault(removal.error)
    failed = Counter(str(outcome.code) for outcome in settled.failed.values())
    queued = settled.queued.total()
    log = logger.error if settled.unaccounted else logger.info
    log(
        "request settled",
        extra={
            "users": len(removal.outcomes),
            "calls": removal.counts["Calls"],
            "slowest_call_ms": round((removal.seconds or 0.0) * 1000),
            "removed": settled.removed,
            "failed": dict(failed),
            "queued": dict(settled.queued),
            "unaccounted": len(settled.unaccounted),
            "duration_ms": round(seconds * 1000),
        },
    )
    counts = Counter(removal.counts)
    counts["UsersRemoved"], counts["UsersFailed"] = settled.removed, failed.total()
    counts["UsersQueued"], counts["UsersUnaccounted"] = queued, len(settled.unaccounted)
    counts["ColdStarts"], endpoint.cold = int(endpoint.cold), False
    measure(removal, counts, endpoint.caller.credentials.seconds_left())


def measure(removal: Removed, counts: Counter[str], usersig_seconds_left: float | None) -> None:
    """Emit the metrics; `usersig_seconds_left` is None while the secret was not read."""
    for name in counters(ENDPOINT, counts):
        metrics.add_metric(name, ENDPOINT[name].unit, counts[name])
    if removal.seconds is not None:
        metrics.add_metric(CALL_LATENCY, ENDPOINT[CALL_LATENCY].unit, round(removal.seconds * 1000))
    if usersig_seconds_left is not None:
        unit = ENDPOINT[USERSIG_SECONDS_LEFT].unit
        metrics.add_metric(USERSIG_SECONDS_LEFT, unit, usersig_seconds_left)
    metrics.flush_metrics()


def log_fault(error: TimPushError) -> None:
    """Why the call failed, or was not made; an error when a person has to fix something."""
    needs_person = isinstance(error, SecretError | CredentialsError | ConfigurationError)
    log = logger.error if needs_person else logger.warning
    extra = {
        "error_class": getattr(error, "label", "credentials"),
        "error_code": error.code,
        "error_info": error.message,
        "meaning": getattr(error, "meaning", ""),
        "times": 1,
    }
    log("the call failed or was not made", extra=extra)


def log_refused(status: HTTPStatus, reason: str) -> None:
    """A request of which nothing was sent; the reason names places, not what stands there."""
    logger.info("request refused", extra={"status": int(status), "reason": reason[:500]})
