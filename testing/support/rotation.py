"""The rotation function between a Secrets Manager with real version stages and a stand-in TIMPush.

`rotating` gives an account that holds the two secrets, and the environment the function wants.
"""

import io
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from rotate_usersig import app
from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "us-east-1"
NO_FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:none"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
VALIDITY = 259_200


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    seconds: float = 30.0
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return round(self.seconds * 1000)


@contextmanager
def captured(logger: Logger) -> Iterator[io.StringIO]:
    """What the function's logger writes meanwhile, a JSON object a line."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    stream = handler.setStream(written)
    try:
        yield written
    finally:
        handler.setStream(stream)


@contextmanager
def moto_server() -> Iterator[str]:
    """Emulate AWS in this process on a free port; yields its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        warm_up(url)
        yield url
    finally:
        server.stop()


def warm_up(url: str) -> None:
    """The first request of a service loads it, which can take longer than the functions wait."""
    patient = Config(read_timeout=60)
    keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    session = boto3.Session(region_name=REGION, **keys)
    session.client("sqs", endpoint_url=url, config=patient).list_queues()
    session.client("secretsmanager", endpoint_url=url, config=patient).list_secrets()


def aws_variables(url: str) -> dict[str, str]:
    """The environment of code that may reach the emulator and nothing else of AWS."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass
class Account:
    """The two secrets, by name, and the stand-in that the UserSig is for."""

    secrets: "SecretsManagerClient"
    timpush: TimPushServer
    key_id: str
    usersig_id: str

    def variables(self) -> dict[str, str]:
        """The environment of the rotation function."""
        return {
            "SIGNING_KEY_SECRET_ID": self.key_id,
            "USERSIG_VALIDITY_SECONDS": str(VALIDITY),
            "TIMPUSH_REGION": "singapore",
            "TIMPUSH_ENDPOINT_URL": self.timpush.url,
        }

    def store_key(self, **changes: Any) -> None:
        """Store the signing key, changed so; a change to None leaves the field out."""
        fields = {
            "sdkappid": self.timpush.sdkappid,
            "identifier": self.timpush.identifier,
            "key": self.timpush.key,
        } | changes
        text = json.dumps({name: value for name, value in fields.items() if value is not None})
        self.secrets.put_secret_value(SecretId=self.key_id, SecretString=text)

    def stage(self) -> str:
        """Begin a rotation as Secrets Manager does: a pending version without a value."""
        token = str(uuid.uuid4())
        # moto stages the version first and then finds no function to call.
        with suppress(ClientError):
            self.secrets.rotate_secret(
                SecretId=self.usersig_id, ClientRequestToken=token, RotationLambdaARN=NO_FUNCTION
            )
        assert self.stages(token) == {"AWSPENDING"}
        return token

    def run(self, step: str, token: str, **event: Any) -> None:
        app.lambda_handler(
            {"Step": step, "SecretId": self.usersig_id, "ClientRequestToken": token} | event,
            Context(),
        )

    def rotate(self) -> str:
        """All four steps; returns the new version."""
        token = self.stage()
        for step in STEPS:
            self.run(step, token)
        return token

    def stages(self, version: str) -> set[str]:
        versions = self.secrets.describe_secret(SecretId=self.usersig_id)["VersionIdsToStages"]
        return set(versions.get(version, []))

    def current(self) -> str:
        versions = self.secrets.describe_secret(SecretId=self.usersig_id)["VersionIdsToStages"]
        [current] = [one for one, labels in versions.items() if "AWSCURRENT" in labels]
        return current

    def value(self, version: str | None = None) -> dict[str, Any]:
        """What a version holds, by default the current one."""
        chosen = version or self.current()
        found = self.secrets.get_secret_value(SecretId=self.usersig_id, VersionId=chosen)
        value: dict[str, Any] = json.loads(found["SecretString"])
        return value


@contextmanager
def rotating(aws_url: str, setenv: Callable[[str, str], None]) -> Iterator[Account]:
    """An account whose key is stored, with a UserSig that is valid and current."""
    for name, text in aws_variables(aws_url).items():
        setenv(name, text)
    secrets = boto3.client("secretsmanager")
    name = uuid.uuid4().hex
    with TimPushServer(calls_per_second=None) as timpush:
        account = Account(secrets, timpush, f"key-{name}", f"usersig-{name}")
        secrets.create_secret(Name=account.key_id, SecretString="{}")
        account.store_key()
        secrets.create_secret(Name=account.usersig_id, SecretString=timpush.secret())
        for variable, text in account.variables().items():
            setenv(variable, text)
        yield account
