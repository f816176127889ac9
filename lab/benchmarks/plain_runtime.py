"""A function as a plain process, with nothing but what the arguments name.

    python -I -S -B plain_runtime.py EVENT HANDLER FOLDER ...

Imports HANDLER (`PACKAGE.app.lambda_handler`) from the folders, invokes it once with the event in
the file EVENT, and prints last,
as JSON, the moments (of the monotonic clock) at which it started, had imported, and had the reply;
and how many messages were reported as failed.
"""

import sys
import time

started = time.monotonic()
module, _, name = sys.argv[2].rpartition(".")
sys.path[:0] = sys.argv[3:]

__import__(module)
lambda_handler = getattr(sys.modules[module], name)

imported = time.monotonic()

import json  # noqa: E402


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


with open(sys.argv[1]) as file:  # noqa: PTH123 - pathlib would count as the function's import
    reply = lambda_handler(json.load(file), Context())
moments = [started, imported, time.monotonic()]
print(json.dumps({"moments": moments, "failed": len(reply["batchItemFailures"])}))
