"""Has the deployed function rotate the UserSig, in place of Secrets Manager.

The emulator has RotateSecret, but calls no function for it.
"""

import json
import uuid
from typing import TYPE_CHECKING, Any

from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


def store_key(secrets: "SecretsManagerClient", timpush: TimPushServer) -> str:
    """Store the stand-in's signing key as a user does before a deployment; returns its ARN."""
    value = {
        "sdkappid": timpush.sdkappid,
        "identifier": timpush.identifier,
        "key": timpush.key,
    }
    created = secrets.create_secret(Name="timpush-signing-key", SecretString=json.dumps(value))
    return created["ARN"]


def rotate(
    secrets: "SecretsManagerClient", functions: "LambdaClient", secret_id: str, function: str
) -> None:
    """Stage a version and invoke the four steps.

    Raises:
        RuntimeError: a step failed, or the new version is not the current one.
    """
    token = str(uuid.uuid4())
    secrets.put_secret_value(
        SecretId=secret_id,
        ClientRequestToken=token,
        SecretString="{}",
        VersionStages=["AWSPENDING"],
    )
    for step in STEPS:
        event: dict[str, Any] = {"Step": step, "SecretId": secret_id, "ClientRequestToken": token}
        reply = functions.invoke(FunctionName=function, Payload=json.dumps(event))
        if "FunctionError" in reply:
            raise RuntimeError(f"{step} failed: {reply['Payload'].read().decode()}")
    if secrets.get_secret_value(SecretId=secret_id)["VersionId"] != token:
        raise RuntimeError("the rotation ended without a new version")
