"""Keeps the UserSig and the signing key out of the log lines of the libraries, at any level.

urllib3 logs whole request paths, UserSig included; botocore logs whole requests and replies, the
secrets' values included. The filters sit on the loggers that do so: a level set later changes
nothing.
"""

import logging
import re
from urllib.parse import quote_plus

_USERSIG = re.compile(r"(usersig\W{1,12})[\w%*+/=-]+", re.IGNORECASE)
_URL_LOGGERS = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
_BODY_LOGGERS = ("botocore.endpoint", "botocore.parsers")


def guard_logs() -> None:
    """Redact what urllib3 logs and drop what botocore logs of bodies. May be called again."""
    for name in _URL_LOGGERS:
        logging.getLogger(name).addFilter(_redact)
    for name in _BODY_LOGGERS:
        logging.getLogger(name).addFilter(_drop)


def redact(text: str, usersig: str) -> str:
    """`text` without the UserSig, plain or URL-encoded (in capitals or not)."""
    spellings = "|".join(map(re.escape, (usersig, quote_plus(usersig))))
    return re.sub(spellings, "***", text, flags=re.IGNORECASE)


def _redact(record: logging.LogRecord) -> bool:
    record.msg = _USERSIG.sub(r"\1***", record.getMessage())
    record.args = ()
    return True


def _drop(_record: logging.LogRecord) -> bool:
    return False
