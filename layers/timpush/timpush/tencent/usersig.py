"""UserSig, Tencent's signature of an account (TLSSigAPIv2): sign, decode, verify.

A UserSig is JSON, compressed by zlib, in base64 whose `+/=` are written `*-_`. It is signed, not
encrypted: anyone who has it can read it and act as the account until it expires.
Source: https://github.com/tencentyun/tls-sig-api-v2-golang (2024-11-19).
"""

import base64
import hashlib
import hmac
import json
import zlib
from typing import NamedTuple

from timpush.errors import UserSigError

MAX_DECODED_BYTES = 64 * 1024  # a real one has about 250
MAX_TIME = 2**53  # seconds; beyond it, floats do not hold each of them


class Claims(NamedTuple):
    """The content of a UserSig. Times in seconds; `issued_at` is Unix time."""

    identifier: str
    sdkappid: int
    issued_at: int
    validity: int
    signature: str

    @property
    def expires_at(self) -> int:
        """The last Unix second at which the UserSig is valid."""
        return self.issued_at + self.validity


def sign(sdkappid: int, identifier: str, key: str, issued_at: int, validity: int) -> str:
    """Make the UserSig of `identifier` for `validity` seconds from `issued_at` (Unix time).

    `key` is the app's secret key as the console shows it: used as text, not as hexadecimal.
    """
    claims = Claims(identifier, sdkappid, issued_at, validity, "")
    document = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdkappid,
        "TLS.expire": validity,
        "TLS.time": issued_at,
        "TLS.sig": _signature(claims, key),
    }
    encoded = base64.b64encode(zlib.compress(json.dumps(document).encode()))
    return encoded.decode().translate(str.maketrans("+/=", "*-_"))


def decode(usersig: str) -> Claims:
    """Read a UserSig without its key.

    Raises:
        UserSigError: not a valid UserSig; the text does not repeat it.
    """
    try:
        document = json.loads(_inflate(usersig))
        claims = Claims(
            str(document["TLS.identifier"]),
            int(document["TLS.sdkappid"]),
            int(document["TLS.time"]),
            int(document["TLS.expire"]),
            str(document["TLS.sig"]),
        )
        claims.identifier.encode()  # calls spell it in UTF-8
        if abs(claims.expires_at) <= MAX_TIME:
            return claims
    except (ValueError, TypeError, LookupError, OverflowError, zlib.error, RecursionError):
        pass  # raised below: the exception above may hold parts of the text
    raise UserSigError("the UserSig cannot be decoded")


def verify(usersig: str, key: str) -> bool:
    """Whether the UserSig was signed with `key`. Whether it has expired is not checked.

    Raises:
        UserSigError: not a valid UserSig.
    """
    claims = decode(usersig)
    return hmac.compare_digest(_encode(claims.signature), _encode(_signature(claims, key)))


def _inflate(usersig: str) -> bytes:
    compressed = base64.b64decode(usersig.translate(str.maketrans("*-_", "+/=")), validate=True)
    stream = zlib.decompressobj()
    text = stream.decompress(compressed, MAX_DECODED_BYTES)
    if not stream.eof:  # cut short, or far too long
        raise ValueError
    return text


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can spell what UTF-8 cannot


def _signature(claims: Claims, key: str) -> str:
    text = (
        f"TLS.identifier:{claims.identifier}\n"
        f"TLS.sdkappid:{claims.sdkappid}\n"
        f"TLS.time:{claims.issued_at}\n"
        f"TLS.expire:{claims.validity}\n"
    )
    return base64.b64encode(hmac.digest(_encode(key), _encode(text), hashlib.sha256)).decode()
