"""The admin UserSig: read from Secrets Manager, checked without a call, kept for the environment.

Its secret is `{"sdkappid": 1400000000, "identifier": "administrator", "usersig": "eJ..."}`. The
secret of the key that signs it, which only the rotation reads, has `key` in place of `usersig`.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from timpush.errors import SecretError, UserSigError
from timpush.tencent import usersig

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

REREAD_SECONDS = 300.0
"""The secret is re-read this often, so that a new UserSig is found within minutes."""
RENEW_SECONDS = 3600.0
"""When the UserSig expires sooner, the secret is re-read every `RENEW_REREAD_SECONDS`."""
RENEW_REREAD_SECONDS = 60.0

ODD_REPLY = (
    "the reply is not one of Secrets Manager: check what answers in its place "
    "(AWS_ENDPOINT_URL, a proxy or a VPC endpoint)"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs a call. `expires_at` is in Unix seconds. Its repr leaves the UserSig out."""

    sdkappid: int
    identifier: str
    usersig: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The app's secret key, and the account it signs for. Its repr leaves the key out."""

    sdkappid: int
    identifier: str
    key: str = field(repr=False)


class Credentials:
    """Keeps the credential of one secret. For one thread.

    `fault` says why the last attempt to re-read the secret failed; empty if it did not.
    """

    def __init__(
        self,
        client: "SecretsManagerClient",
        secret_id: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.fault = ""
        self._client = client
        self._secret_id = secret_id
        self._now = now
        self._credential: Credential | None = None
        self._useless = False
        self._read_at = self._renewed_at = -math.inf

    def get(self) -> Credential:
        """The credential; the secret is re-read every few minutes and when the UserSig has expired.

        A UserSig that is still valid is kept when the secret cannot be re-read or used.

        Raises:
            SecretError: the secret cannot be read or used; the text says how to fix it.
        """
        kept, now = self._credential, self._now()
        if kept is None or now > kept.expires_at:
            return self.refresh()
        if kept.expires_at - now < RENEW_SECONDS:
            if 0 <= now - self._renewed_at < RENEW_REREAD_SECONDS:
                return kept
            self._renewed_at = now
        elif 0 <= now - self._read_at < REREAD_SECONDS:
            return kept
        return self._renew(kept)

    def refresh(self) -> Credential:
        """The credential as Secrets Manager holds it now.

        Raises:
            SecretError: the secret cannot be read or used; the text says how to fix it.
        """
        self.fault, self._credential, self._useless = "", None, False
        self._read_at = self._now()
        text = read_secret(self._client, self._secret_id)
        self._useless = True
        credential = parse_secret(text, self._now())
        self._credential = credential
        return credential

    def seconds_left(self) -> float | None:
        """How long the UserSig is still valid: 0 if the secret holds none that can be used.

        None while the secret could not be read.
        """
        if self._credential:
            return max(0.0, self._credential.expires_at - self._now())
        return 0.0 if self._useless else None

    def _renew(self, kept: Credential) -> Credential:
        try:
            return self.refresh()
        except SecretError as error:
            self.fault, self._credential = error.message, kept
            return kept


def read_secret(client: "SecretsManagerClient", secret_id: str, version_id: str = "") -> str:
    """The value of a secret's current version, or of `version_id`: "" if that has no value yet.

    Raises:
        SecretError: it cannot be read; the text names the secret, and the code or what to check.
    """
    version = {"VersionId": version_id} if version_id else {"VersionStage": "AWSCURRENT"}
    text: object = None
    try:
        reply: Mapping[str, object] = client.get_secret_value(SecretId=secret_id, **version)
        text = reply.get("SecretString", "" if "SecretBinary" in reply else None)
        fault = ODD_REPLY
    except ClientError as error:
        fault = str(error.response.get("Error", {}).get("Code", "ClientError"))
        if version_id and fault == "ResourceNotFoundException":
            return ""
    except BotoCoreError as error:
        fault = type(error).__name__
    except Exception as error:  # botocore parses a reply that is not an object into any error
        fault = f"{ODD_REPLY} ({type(error).__name__})"
    if isinstance(text, str):
        return text
    raise SecretError(f"the secret {secret_id} cannot be read: {fault}")


def parse_secret(text: str, now: float) -> Credential:
    """Read the secret's value and check its UserSig against it.

    Raises:
        SecretError: it does not have the shape above.
        UserSigError: not a valid UserSig, or one of another app or account, or an expired one.
    """
    sdkappid, identifier, signed = _fields(text, "usersig")
    claims = usersig.decode(signed)
    if claims.identifier != identifier:
        raise UserSigError("the UserSig was signed for another identifier than the secret names")
    if claims.sdkappid != sdkappid:
        raise UserSigError("the UserSig was signed for another sdkappid than the secret names")
    if now > claims.expires_at:
        age = now - claims.expires_at
        raise UserSigError(f"the UserSig expired {age:.0f} s ago: store a new one")
    return Credential(sdkappid, identifier, signed, claims.expires_at)


def parse_signing_key(text: str) -> SigningKey:
    """Read the value of the key's secret.

    Raises:
        SecretError: it does not have the shape above.
    """
    return SigningKey(*_fields(text, "key"))


def _fields(text: str, name: str) -> tuple[int, str, str]:
    """The secret's sdkappid, its identifier and the text under `name`."""
    secret = _load(text)
    if secret is None:
        raise SecretError(f"the secret must be a JSON object with sdkappid, identifier and {name}")
    sdkappid, identifier, value = (secret.get(k) for k in ("sdkappid", "identifier", name))
    if isinstance(sdkappid, bool) or not isinstance(sdkappid, int) or sdkappid <= 0:
        raise SecretError("the secret's sdkappid must be a positive integer")
    if not isinstance(identifier, str) or not identifier:
        raise SecretError("the secret's identifier must be a non-empty string")
    if not isinstance(value, str) or not value:
        raise SecretError(f"the secret's {name} must be a non-empty string")
    return sdkappid, identifier, value


def _load(text: str) -> dict[str, Any] | None:
    try:
        secret = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return secret if isinstance(secret, dict) else None
