"""Keeps the UserSig and the signing key out of the log lines of the libraries, at any level.

urllib3 logs whole URLs, UserSig included; botocore logs whole requests and replies, the secrets'
values included. Each of their records is cleaned when it is made, by a factory of log records: a
filter would have to sit on every logger, those of later versions included. A level that is set
later changes nothing.
"""

import logging
import re
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection

LIBRARIES = ("urllib3", "botocore", "boto3", "s3transfer")
BODY_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers")
NOT_SHOWN = "not shown: it may hold a secret"

_USERSIG = re.compile(r"(usersig\W{1,12})[\w%*+/=-]+", re.IGNORECASE)
_TOKEN = re.compile(r"[\w%*+-]{16,}")
"""What may be a part of a UserSig or of a key. It is cut out wherever it stands, as a server may
repeat one in a header that a library then logs; long names of classes go with it."""


def guard_logs() -> None:
    """Clean every log record of the libraries from now on. May be called again."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, CleaningFactory):
        logging.setLogRecordFactory(CleaningFactory(factory))
    # A level set on http.client's class would print whole requests.
    for connection in (AWSHTTPConnection, AWSHTTPSConnection):
        connection.debuglevel = 0


class CleaningFactory:
    """Makes log records with the factory that was set before, and cleans the libraries'."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.factory(*args, **kwargs)
        if record.name.partition(".")[0] in LIBRARIES:
            _clean(record)
        return record


def _clean(record: logging.LogRecord) -> None:
    if record.name in BODY_LOGGERS and record.levelno < logging.WARNING:
        text = NOT_SHOWN
    else:
        text = _TOKEN.sub("***", _USERSIG.sub(r"\1***", record.getMessage()))
    if record.exc_info and record.exc_info[0]:  # its own text may repeat a URL or a reply
        text += f" ({record.exc_info[0].__name__})"
    record.msg, record.args = text, ()
    record.exc_info = record.exc_text = record.stack_info = None
