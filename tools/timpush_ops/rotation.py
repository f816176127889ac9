"""Rotates the UserSig now, and waits until the new one is current."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

PATIENCE_SECONDS = 120.0
"""The four steps take seconds; Secrets Manager repeats a rotation that failed for much longer."""
LOOK_SECONDS = 2.0
FAILED = "the step was not done"
"""The rotation function logs it, with the reason."""


class RotateError(Exception):
    """The UserSig was not rotated; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The clocks that the command uses: `clock` to wait by, `now` in Unix seconds for the log."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


def rotate_now(
    secrets: "SecretsManagerClient",
    logs: "CloudWatchLogsClient",
    secret_id: str,
    log_group: str,
    patience: Patience,
) -> str:
    """Have Secrets Manager rotate the secret; returns the version that is current afterwards.

    Raises:
        RotateError: rotation is not set up, or no new version is current after two minutes.
    """
    secret = secrets.describe_secret(SecretId=secret_id)
    before = version_with("AWSCURRENT", secret)
    since, until = patience.now(), patience.clock() + PATIENCE_SECONDS
    pending = version_with("AWSPENDING", secret)
    start(secrets, secret_id, "" if pending == before else pending)
    while (current := read_current(secrets, secret_id)) == before:
        if patience.clock() >= until:
            raise RotateError(
                f"the UserSig was not rotated within {PATIENCE_SECONDS:.0f} s: "
                f"{read_reason(logs, log_group, since)}"
            )
        patience.sleep(LOOK_SECONDS)
    return current


def start(secrets: "SecretsManagerClient", secret_id: str, pending: str) -> None:
    """Start a rotation, in place of one that did not end.

    Secrets Manager starts none while `pending`, a version that is not current ("": there is none),
    has the label AWSPENDING (`API_RotateSecret`, 2026-11). Taking the label away ends that rotation
    and harms nothing: the function makes no version current that does not have it.

    Raises:
        RotateError: Secrets Manager refused; its words say why.
    """
    try:
        try:
            secrets.rotate_secret(SecretId=secret_id)
        except secrets.exceptions.InvalidRequestException:
            if not pending:
                raise
            secrets.update_secret_version_stage(
                SecretId=secret_id, VersionStage="AWSPENDING", RemoveFromVersionId=pending
            )
            secrets.rotate_secret(SecretId=secret_id)
    except secrets.exceptions.InvalidRequestException as error:
        raise RotateError(f"{error} A rotation needs the parameter RotationSchedule.") from None


def read_current(secrets: "SecretsManagerClient", secret_id: str) -> str:
    """The version that is current now."""
    return version_with("AWSCURRENT", secrets.describe_secret(SecretId=secret_id))


def version_with(label: str, secret: Mapping[str, Any]) -> str:
    """The version of a described secret that has the label, "" if none has."""
    stages: Mapping[str, list[str]] = secret.get("VersionIdsToStages", {})
    return next((version for version, labels in stages.items() if label in labels), "")


def read_reason(logs: "CloudWatchLogsClient", log_group: str, since: float) -> str:
    """Why a step failed, as the rotation function's latest log line since then says."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group, filterPattern=f'"{FAILED}"', startTime=round(since * 1_000)
    )  # a page may be empty with more to follow
    lines = [one.get("message", "") for page in pages for one in page["events"]]
    reasons = list(filter(None, map(reason_of, lines)))
    if not reasons:
        return f"the log group {log_group} does not say why, so the function may not have run"
    return f'{reasons[-1]} (docs/usersig.md, "When a rotation fails")'


def reason_of(line: str) -> str:
    """The reason that a log line of a failed step gives, "" for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or entry.get("message") != FAILED:
        return ""
    return str(entry.get("reason", ""))
