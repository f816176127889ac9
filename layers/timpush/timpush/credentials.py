"""The admin UserSig: read from Secrets Manager, checked without a call, kept for the environment.

The secret is `{"sdkappid": 1400000000, "identifier": "administrator", "usersig": "eJ..."}`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from timpush import usersig
from timpush.errors import SecretError, UserSigError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs a call. `expires_at` is in Unix seconds. Its repr leaves the UserSig out."""

    sdkappid: int
    identifier: str
    usersig: str = field(repr=False)
    expires_at: int


class Credentials:
    """Keeps the credential of one secret."""

    def __init__(
        self,
        client: "SecretsManagerClient",
        secret_id: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._secret_id = secret_id
        self._now = now
        self._credential: Credential | None = None

    def get(self) -> Credential:
        """The credential, read once and again when it has expired.

        Raises:
            SecretError: it cannot be read or used; the text says what to mend.
        """
        if self._credential is None or self._now() > self._credential.expires_at:
            return self.refresh()
        return self._credential

    def refresh(self) -> Credential:
        """The credential as Secrets Manager holds it now.

        Raises:
            SecretError: it cannot be read or used; the text says what to mend.
        """
        self._credential = None
        credential = parse_secret(self._read(), self._now())
        self._credential = credential
        return credential

    def _read(self) -> str:
        try:
            reply = self._client.get_secret_value(SecretId=self._secret_id)
            return reply.get("SecretString", "")
        except ClientError as error:
            fault = error.response.get("Error", {}).get("Code", "ClientError")
        except BotoCoreError as error:
            fault = type(error).__name__
        raise SecretError(f"the secret {self._secret_id} cannot be read: {fault}")


def parse_secret(text: str, now: float) -> Credential:
    """Read the secret's value and check its UserSig against it.

    Raises:
        SecretError: it is not of the shape above.
        UserSigError: the UserSig is none, is another app's or account's, or has expired.
    """
    secret = _load(text)
    credential = _credential(secret)
    claims = usersig.decode(credential.usersig)
    if claims.identifier != credential.identifier:
        raise UserSigError("the UserSig was signed for another identifier than the secret names")
    if claims.sdkappid != credential.sdkappid:
        raise UserSigError("the UserSig was signed for another sdkappid than the secret names")
    if now > claims.expires_at:
        raise UserSigError(f"the UserSig expired {now - claims.expires_at:.0f} s ago: store a new")
    return Credential(
        credential.sdkappid, credential.identifier, credential.usersig, claims.expires_at
    )


def _load(text: str) -> dict[str, Any]:
    try:
        secret = json.loads(text)
    except (ValueError, RecursionError):
        secret = None
    if not isinstance(secret, dict):
        raise SecretError("the secret must be a JSON object with sdkappid, identifier and usersig")
    return secret


def _credential(secret: dict[str, Any]) -> Credential:
    sdkappid, identifier, signed = (secret.get(k) for k in ("sdkappid", "identifier", "usersig"))
    if isinstance(sdkappid, bool) or not isinstance(sdkappid, int) or sdkappid <= 0:
        raise SecretError("the secret's sdkappid must be a positive integer")
    if not isinstance(identifier, str) or not identifier:
        raise SecretError("the secret's identifier must be a non-empty string")
    if not isinstance(signed, str) or not signed:
        raise SecretError("the secret's usersig must be a non-empty string")
    return Credential(sdkappid, identifier, signed, expires_at=0)
