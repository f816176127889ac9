"""Runs the SAM CLI and writes down each call that it makes to AWS: a program for SAM's own Python.

    .tools/sam/bin/python testing/support/record_sam.py FILE deploy ...

FILE gets a JSON object a line: the service and the operation by boto3's names, the URL, the body.
botocore logs each request right before it sends it; nothing of SAM or botocore is replaced.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any


class Recorder(logging.Handler):
    """Writes what botocore says that it sends."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg != "Making request for %s with params: %s":
            return
        logged: Any = record.args
        model, request = logged
        body = request["body"]
        call = {
            "service": model.service_model.service_name,
            "operation": model.name,
            "url": request["url"],
            "body": body if isinstance(body, dict) else {},
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(call, default=str) + "\n")


def main(path: str, *arguments: str) -> None:
    """Run SAM with these arguments."""
    from samcli.cli.main import cli  # type: ignore[import-not-found]

    logger = logging.getLogger("botocore.endpoint")
    logger.addHandler(Recorder(Path(path)))
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    cli(list(arguments), prog_name="sam")


if __name__ == "__main__":
    main(*sys.argv[1:])
