"""UserSig (TLSSigAPIv2): signing and reading. Shares no code with the application under test."""

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_TO_URL = str.maketrans("+/=", "*-_")
_FROM_URL = str.maketrans("*-_", "+/=")
_MAX_JSON = 65_536  # bytes; a UserSig holds some hundred, so more is a decompression bomb


@dataclass(frozen=True)
class UserSig:
    """What a UserSig says, and whether its signature is right. Times are Unix seconds."""

    identifier: str
    sdkappid: int
    expires_at: int
    genuine: bool


def sign(identifier: str, sdkappid: int, key: str, time: int, expire: int) -> str:
    """Return a UserSig made at `time` (Unix seconds) that lives for `expire` seconds."""
    document = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdkappid,
        "TLS.expire": expire,
        "TLS.time": time,
        "TLS.sig": _hmac(identifier, sdkappid, key, time, expire),
    }
    packed = zlib.compress(json.dumps(document).encode())
    return base64.b64encode(packed).decode().translate(_TO_URL)


@lru_cache(maxsize=1024)
def read(usersig: str, key: str) -> UserSig | None:
    """Decode a UserSig and verify its HMAC with `key`; None if it cannot be decoded.

    Cached, so a UserSig that repeats costs nothing. Expiry is for the caller to compare.
    """
    try:
        document = decode(usersig)
        identifier, sdkappid = document["TLS.identifier"], document["TLS.sdkappid"]
        time, expire, sig = document["TLS.time"], document["TLS.expire"], document["TLS.sig"]
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error):
        return None
    if [type(v) for v in (identifier, sdkappid, time, expire, sig)] != [str, int, int, int, str]:
        return None
    expected = _hmac(identifier, sdkappid, key, time, expire)
    genuine = hmac.compare_digest(expected.encode(), sig.encode("utf-8", "surrogatepass"))
    return UserSig(identifier, sdkappid, time + expire, genuine)


def decode(usersig: str) -> Any:
    """Return the JSON inside a UserSig, unverified; ValueError or zlib.error if there is none."""
    packed = base64.b64decode(usersig.translate(_FROM_URL), validate=True)
    stream = zlib.decompressobj()
    text = stream.decompress(packed, _MAX_JSON)
    if not stream.eof or stream.unused_data:
        raise ValueError("not one whole zlib stream")
    return json.loads(text)


def _hmac(identifier: str, sdkappid: int, key: str, time: int, expire: int) -> str:
    text = (
        f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\n"
        f"TLS.time:{time}\nTLS.expire:{expire}\n"
    )
    message = text.encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(key.encode(), message, hashlib.sha256)).decode()
