"""Everything that code prints or logs."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from aws_lambda_powertools import Logger

LIBRARIES = ("boto3", "botocore", "urllib3", "werkzeug")


@contextmanager
def printed(logger: Logger) -> Iterator[io.StringIO]:
    """What `logger`, every other logger, stdout and stderr are given meanwhile.

    Of loggers at any level, but warnings only of those of LIBRARIES.
    """
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    own = logger.registered_handler
    assert isinstance(own, logging.StreamHandler)
    stream = own.setStream(written)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with redirect_stdout(written), redirect_stderr(written):
            yield written
    finally:
        root.setLevel(level)
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.NOTSET)
        root.removeHandler(handler)
        own.setStream(stream)
