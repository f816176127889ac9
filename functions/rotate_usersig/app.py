"""Secrets Manager's four rotation steps: sign a UserSig, prove it with one call, make it current.

The version that a rotation makes is named by its ClientRequestToken and carries AWSPENDING until
the last step. Every step may come again; AWSCURRENT moves in the last one alone.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

from timpush.aws import make_secrets_manager
from timpush.errors import (
    CallError,
    InputError,
    RateLimitError,
    RotationError,
    SecretError,
    TimPushError,
    TransientError,
)
from timpush.metrics import NAMESPACE, ROTATION, USERSIG_SECONDS_LEFT
from timpush.settings import RotationSettings, read_rotation_settings
from timpush.tencent import usersig
from timpush.tencent.client import TimPushClient
from timpush.tencent.codes import explain
from timpush.tencent.credentials import (
    Credential,
    SigningKey,
    parse_secret,
    parse_signing_key,
    read_secret,
)
from timpush.tencent.redaction import guard_logs

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

REPLY_SECONDS = 1.0
"""Kept free at the end of the call that proves the UserSig."""

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation of one secret. `stages` are the labels of each of its versions.

    `deadline` is in seconds of the monotonic clock.
    """

    settings: RotationSettings
    secrets: "SecretsManagerClient"
    secret_id: str
    token: str
    stages: dict[str, list[str]]
    deadline: float


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Do the step that the event names.

    Raises:
        TimPushError: the step was not done; the text says what to mend. Secrets Manager counts
            the rotation as failed and tries again later.
    """
    guard_logs()
    step, secret_id, token = (
        str(event.get(name) or "") for name in ("Step", "SecretId", "ClientRequestToken")
    )
    logger.append_keys(
        step=step,
        secret=secret_id,
        token=token,
        function_request_id=getattr(context, "aws_request_id", None),
    )
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    try:
        if step not in STEPS:
            raise RotationError(f"the step {step!r} is unknown")
        STEPS[step](start(secret_id, token, deadline - REPLY_SECONDS))
    except TimPushError as error:
        logger.error("the step was not done", extra={"code": error.code, "reason": error.message})
        raise
    logger.info("the step is done")


def start(secret_id: str, token: str, deadline: float) -> Rotation:
    """Look the secret's versions up.

    Raises:
        RotationError: the token is not the one of a rotation under way.
        SettingsError: the environment is not as it must be.
    """
    settings = read_rotation_settings(os.environ)
    secrets = make_secrets_manager(read_timeout=3, attempts=3)
    secret = secrets.describe_secret(SecretId=secret_id)
    if settings.signing_key_secret_id in (secret_id, secret["ARN"], secret["Name"]):
        raise RotationError("SIGNING_KEY_SECRET_ID names the secret to rotate: the key would go")
    stages = secret.get("VersionIdsToStages", {})
    if token not in stages:
        raise RotationError(f"the secret has no version {token!r}")
    return Rotation(settings, secrets, secret_id, token, stages, deadline)


def create_secret(rotation: Rotation) -> None:
    """Sign a UserSig and store it as the pending version, unless that holds one already."""
    check_pending(rotation)
    if "AWSCURRENT" in rotation.stages[rotation.token]:
        return
    key = read_signing_key(rotation)
    pending = read_secret(rotation.secrets, rotation.secret_id, rotation.token)
    if pending and is_signed_with(key, pending):
        return
    signed = usersig.sign(
        key.sdkappid, key.identifier, key.key, int(time.time()), rotation.settings.validity
    )
    value = {"sdkappid": key.sdkappid, "identifier": key.identifier, "usersig": signed}
    try:
        rotation.secrets.put_secret_value(
            SecretId=rotation.secret_id,
            ClientRequestToken=rotation.token,
            SecretString=json.dumps(value),
            VersionStages=["AWSPENDING"],
        )
    except rotation.secrets.exceptions.ResourceExistsException:
        give_up(rotation)


def set_secret(rotation: Rotation) -> None:
    """Nothing to do: TIMPush knows the key, and takes whatever was signed with it."""
    check_pending(rotation)


def test_secret(rotation: Rotation) -> None:
    """Prove the pending UserSig with one call that changes nothing.

    Raises:
        RotationError: TIMPush refused it.
        CallError: nobody knows yet; the next attempt will show.
    """
    check_pending(rotation)
    credential = read_pending(rotation)
    client = TimPushClient(rotation.settings.endpoint_url, connections=1)
    try:
        client.get_tag([credential.identifier], credential, rotation.deadline)
    except InputError as error:  # the account has no tags to show: TIMPush took the UserSig
        logger.info("TIMPush took the UserSig", extra={"code": error.code})
    except (TransientError, RateLimitError):
        raise
    except CallError as error:
        raise RotationError(f"TIMPush refused the new UserSig: {explain(error)}") from None


def finish_secret(rotation: Rotation) -> None:
    """Make the pending version the current one."""
    if "AWSCURRENT" in rotation.stages[rotation.token]:
        return
    check_pending(rotation)
    credential = read_pending(rotation)
    current = [one for one, labels in rotation.stages.items() if "AWSCURRENT" in labels]
    rotation.secrets.update_secret_version_stage(
        SecretId=rotation.secret_id,
        VersionStage="AWSCURRENT",
        MoveToVersionId=rotation.token,
        **({"RemoveFromVersionId": current[0]} if current else {}),
    )
    seconds = credential.expires_at - time.time()
    logger.info("the UserSig is current", extra={"usersig_seconds_left": round(seconds)})
    metrics.add_metric(USERSIG_SECONDS_LEFT, ROTATION[USERSIG_SECONDS_LEFT].unit, seconds)
    metrics.flush_metrics()


STEPS: dict[str, Callable[[Rotation], None]] = {
    "createSecret": create_secret,
    "setSecret": set_secret,
    "testSecret": test_secret,
    "finishSecret": finish_secret,
}


def check_pending(rotation: Rotation) -> None:
    """Refuse a version that is not the one being made.

    Raises:
        RotationError: it does not carry AWSPENDING.
    """
    if "AWSPENDING" not in rotation.stages[rotation.token]:
        raise RotationError(f"the version {rotation.token!r} is not staged AWSPENDING")


def read_signing_key(rotation: Rotation) -> SigningKey:
    """The key of the secret that SIGNING_KEY_SECRET_ID names.

    Raises:
        SecretError: it cannot be read or used; the text says what to mend.
    """
    secret_id = rotation.settings.signing_key_secret_id
    text = read_secret(rotation.secrets, secret_id)
    try:
        return parse_signing_key(text)
    except SecretError as error:
        raise SecretError(f"{error.message} (the signing key's secret, {secret_id})") from None


def read_pending(rotation: Rotation) -> Credential:
    """What createSecret stored.

    Raises:
        SecretError: nothing, or nothing that can be used.
    """
    text = read_secret(rotation.secrets, rotation.secret_id, rotation.token)
    if not text:
        raise RotationError("the pending version has no value: createSecret comes first")
    return parse_secret(text, time.time())


def is_signed_with(key: SigningKey, text: str) -> bool:
    """Whether a secret's value is a UserSig that this key signed and that has not expired."""
    try:
        credential = parse_secret(text, time.time())
        return (
            (credential.sdkappid, credential.identifier) == (key.sdkappid, key.identifier)
        ) and usersig.verify(credential.usersig, key.key)
    except SecretError:
        return False


def give_up(rotation: Rotation) -> None:
    """End a rotation whose version holds another value: a version cannot be written twice.

    Without its label the next rotation starts afresh; with it, each would find the same value.

    Raises:
        RotationError: always.
    """
    rotation.secrets.update_secret_version_stage(
        SecretId=rotation.secret_id,
        VersionStage="AWSPENDING",
        RemoveFromVersionId=rotation.token,
    )
    raise RotationError(
        "the pending version holds a UserSig that has expired or that another key signed; "
        "it is pending no longer: rotate again"
    )
