"""Everything that code prints or logs."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from aws_lambda_powertools import Logger


@contextmanager
def printed(logger: Logger) -> Iterator[io.StringIO]:
    """What `logger`, every other logger at any level, stdout and stderr are given meanwhile."""
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    own = logger.registered_handler
    assert isinstance(own, logging.StreamHandler)
    stream = own.setStream(written)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(written), redirect_stderr(written):
            yield written
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        own.setStream(stream)
