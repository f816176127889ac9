"""Logs at their most talkative, and whether a text shows a UserSig."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote_plus


@contextmanager
def everything_at_debug() -> Iterator[None]:
    """Levels as someone who looks for a fault might set them, after the guard is in place."""
    names = ("urllib3", "urllib3.connectionpool", "botocore", "botocore.parsers", "boto3")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def holds(text: str, usersig: str) -> bool:
    return any(one in text for one in (usersig, quote_plus(usersig), usersig[10:60]))
