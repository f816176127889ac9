"""`python -m support.memory EVENT REPLY`: one invocation of the worker, and what it took.

EVENT is a file with the event as Lambda would send it; REPLY is the body of every reply of TIMPush,
in which ROWS stands for a row of each of the call's accounts. SQS takes all. Prints JSON: the most
memory that the process had, in bytes (Linux only), and how many messages were reported.
"""

import json
import sys
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from remove_tags_worker import app
from support.clients import sqs_client
from support.printed import printed
from support.world import Answer, Sent, World


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def take_all(request: Any, **_: Any) -> AWSResponse:
    """SQS's reply to a batch of which it takes every entry."""
    taken = [{"Id": entry["Id"]} for entry in json.loads(request.body)["Entries"]]
    body = json.dumps({"Successful": taken}).encode()
    return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(body))


def peak() -> int:
    """The most memory that this process had, in bytes; not what its parent had (ru_maxrss)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def main(event_file: str, reply: str) -> None:
    def respond(sent: Sent) -> Answer:
        rows = [{"To_Account": account, "ErrorCode": 70107} for account in sent.accounts]
        return Answer(reply.replace("ROWS", json.dumps(rows)).encode())

    world, sqs = World(), sqs_client("http://127.0.0.1:1")  # nothing is sent there
    sqs.meta.events.register("before-send.sqs", take_all)  # type: ignore[arg-type]
    worker = world.worker(respond, sqs, TIMPUSH_CALLS_PER_SECOND=100, WORKER_CONCURRENCY=1)
    event = json.loads(Path(event_file).read_bytes())
    with printed(app.logger):
        settled = app.handle(event["Records"], worker, world.time.clock() + 120)
    print(json.dumps({"peak": peak(), "reported": len(settled["batchItemFailures"])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
