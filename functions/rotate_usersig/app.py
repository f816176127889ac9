"""Secrets Manager's four rotation steps: sign a UserSig, test it with a call, make it current.

The version that a rotation makes is named by its ClientRequestToken and carries AWSPENDING until
the last step. Every step may be repeated, or run twice at once: a step that finds its work done
leaves it alone. AWSCURRENT is moved in the last step alone, right after a test of its own.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from botocore.exceptions import ClientError

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
"""Kept free after the call that tests the UserSig."""

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
    """Run the step that the event names.

    Raises:
        TimPushError: the step failed; the text says how to fix it. Secrets Manager counts the
            rotation as failed and tries again later.
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
    """Read the settings and the labels of the secret's versions.

    Raises:
        RotationError: the token does not belong to a rotation in progress.
        SettingsError: a setting is missing or impossible.
    """
    settings = read_rotation_settings(os.environ)
    secrets = make_secrets_manager(read_timeout=3, attempts=3)
    secret = secrets.describe_secret(SecretId=secret_id)
    if settings.signing_key_secret_id in (secret_id, secret["ARN"], secret["Name"]):
        raise RotationError(
            "SIGNING_KEY_SECRET_ID names the secret to rotate: the key would be overwritten"
        )
    stages = secret.get("VersionIdsToStages", {})
    if token not in stages:
        raise RotationError(f"the secret has no version {token!r}")
    return Rotation(settings, secrets, secret_id, token, stages, deadline)


def create_secret(rotation: Rotation) -> None:
    """Sign a UserSig and store it as the pending version, unless that has a good one already.

    Raises:
        RotationError: the pending version has a value that cannot be used.
    """
    check_pending(rotation)
    if "AWSCURRENT" in rotation.stages[rotation.token]:
        return
    key = read_signing_key(rotation)
    if is_signed_with(key, read_version(rotation)):
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
        keep_or_give_up(rotation, key)


def set_secret(rotation: Rotation) -> None:
    """Nothing to do: TIMPush knows the key and accepts every UserSig that was signed with it."""
    check_pending(rotation)


def test_secret(rotation: Rotation) -> None:
    """Test the pending UserSig with one call that changes nothing.

    Raises:
        RotationError: TIMPush refused it.
        CallError: the test had no result; the next attempt repeats it.
    """
    check_pending(rotation)
    check_usersig(rotation, read_pending(rotation))


def finish_secret(rotation: Rotation) -> None:
    """Make the pending version the current one, if its UserSig passes the test now.

    Secrets Manager does not tell whether testSecret passed, so the test is repeated here.

    Raises:
        RotationError: TIMPush refused the UserSig.
        CallError: the test had no result; the next attempt repeats it.
    """
    if "AWSCURRENT" in rotation.stages[rotation.token]:
        return
    check_pending(rotation)
    credential = read_pending(rotation)
    check_usersig(rotation, credential)
    make_current(rotation)
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
    """Check that the rotation's version is the pending one.

    Raises:
        RotationError: it does not carry AWSPENDING.
    """
    if "AWSPENDING" not in rotation.stages[rotation.token]:
        raise RotationError(f"the version {rotation.token!r} is not staged AWSPENDING")


def read_signing_key(rotation: Rotation) -> SigningKey:
    """The key of the secret that SIGNING_KEY_SECRET_ID names.

    Raises:
        SecretError: it cannot be read or used; the text says how to fix it.
    """
    secret_id = rotation.settings.signing_key_secret_id
    text = read_secret(rotation.secrets, secret_id)
    try:
        return parse_signing_key(text)
    except SecretError as error:
        raise SecretError(f"{error.message} (the signing key's secret, {secret_id})") from None


def read_pending(rotation: Rotation) -> Credential:
    """The credential that createSecret stored.

    Raises:
        RotationError: nothing is stored yet.
        SecretError: the value cannot be read or used; the text says how to fix it.
    """
    text = read_version(rotation)
    if not text:
        raise RotationError("the pending version has no value: createSecret comes first")
    return parse_secret(text, time.time())


def check_usersig(rotation: Rotation, credential: Credential) -> None:
    """Ask TIMPush for the tags of the admin, which needs the rights of an admin.

    An input code, such as 70107 for an admin without an account, proves the UserSig as well.

    Raises:
        RotationError: TIMPush refused the UserSig.
        CallError: no reply, or one that says nothing about the UserSig.
    """
    client = TimPushClient(rotation.settings.endpoint_url, connections=1)
    try:
        failures = client.get_tag([credential.identifier], credential, rotation.deadline)
        if failures:
            raise failures[credential.identifier]
    except InputError as error:
        logger.info("TIMPush accepted the UserSig", extra={"code": error.code})
    except (TransientError, RateLimitError):
        raise
    except CallError as error:
        raise RotationError(f"TIMPush refused the new UserSig: {explain(error)}") from None


def make_current(rotation: Rotation) -> None:
    """Move AWSCURRENT to the pending version, unless another run of the step just did."""
    current = [one for one, labels in rotation.stages.items() if "AWSCURRENT" in labels]
    try:
        rotation.secrets.update_secret_version_stage(
            SecretId=rotation.secret_id,
            VersionStage="AWSCURRENT",
            MoveToVersionId=rotation.token,
            **({"RemoveFromVersionId": current[0]} if current else {}),
        )
    except ClientError:
        secret = rotation.secrets.describe_secret(SecretId=rotation.secret_id)
        if "AWSCURRENT" not in secret.get("VersionIdsToStages", {}).get(rotation.token, []):
            raise


def read_version(rotation: Rotation) -> str:
    """The value of the rotation's version, "" if it has none yet."""
    return read_secret(rotation.secrets, rotation.secret_id, rotation.token)


def is_signed_with(key: SigningKey, text: str) -> bool:
    """Whether a secret's value is a UserSig that `key` signed and that has not expired."""
    try:
        credential = parse_secret(text, time.time())
        return (
            (credential.sdkappid, credential.identifier) == (key.sdkappid, key.identifier)
        ) and usersig.verify(credential.usersig, key.key)
    except SecretError:
        return False


def keep_or_give_up(rotation: Rotation, key: SigningKey) -> None:
    """Settle a version that was given a value meanwhile: it cannot be written again.

    If this step runs twice at once, the value is the other run's and as good as ours: it stays.
    Otherwise the rotation ends. Without AWSPENDING on this version, the next rotation makes a new
    one instead of finding this value again.

    Raises:
        RotationError: the value cannot be used, or not be read yet.
    """
    value = read_version(rotation)
    if is_signed_with(key, value):
        return
    if not value:
        raise RotationError("another run of createSecret is storing the UserSig: try again")
    rotation.secrets.update_secret_version_stage(
        SecretId=rotation.secret_id,
        VersionStage="AWSPENDING",
        RemoveFromVersionId=rotation.token,
    )
    raise RotationError(
        "the pending version holds a UserSig that has expired or that another key signed; "
        "its label AWSPENDING was removed: rotate again"
    )
