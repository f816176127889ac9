"""The operator's commands between the queues of an emulated AWS, in this process or as their own.

`Gate` stands between a command and the emulator and stops answering after some requests, so that a
command can be killed where it surely is in the middle of its work.
"""

import json
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from click.testing import CliRunner

from support.clients import sqs_client
from support.rotation import aws_variables
from timpush_ops.cli import cli

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
Attributes = dict[str, str]


@dataclass(frozen=True)
class Done:
    """What a command printed, on standard error and output together and on the latter alone, and
    its exit code."""

    output: str
    code: int
    stdout: str = ""


@dataclass
class Operated:
    """A queue and its dead-letter queue, and the commands to run on them."""

    sqs: "SQSClient"
    aws_url: str
    queue_url: str
    dead_letter_queue_url: str

    def run(self, *arguments: object) -> Done:
        """Run a command in this process."""
        result = CliRunner(mix_stderr=False).invoke(cli, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.stderr + result.stdout, result.exit_code, result.stdout)

    def dlq(self, command: str, *options: object) -> Done:
        url = ("--dead-letter-queue-url", self.dead_letter_queue_url)
        to = ("--queue-url", self.queue_url) if command == "send-back" else ()
        return self.run("dlq", command, *url, *to, *options)

    @contextmanager
    def running(self, gate: "Gate", *arguments: object) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a command as a process of its own that reaches AWS through the gate."""
        process = subprocess.Popen(
            [sys.executable, "-B", ROOT / "tools/timpush_ops", *map(str, arguments)],
            env=aws_variables(gate.url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(SECONDS)

    def add_dead_letter(self, body: str | dict[str, Any], **attributes: str) -> None:
        """Put a message on the dead-letter queue."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._put(self.dead_letter_queue_url, text, attributes)

    def add_dead_letter_of(self, users: dict[str, int | str], **attributes: str) -> None:
        """Dead-letter these users, each for its code, in one message as the worker does."""
        rows = [{"To_Account": account, "Tags": ["gold"]} for account in users]
        errors = [
            {"To_Account": account, "ErrorCode": code, "ErrorInfo": "said TIMPush"}
            for account, code in users.items()
        ]
        first = str(next(iter(users.values())))
        body = {"UserTags": rows, "Errors": errors, "SourceMessageId": "source-1"}
        names = {"SourceMessageId": "source-1", "ErrorCode": first, "Reason": f"{first}: why"}
        self.add_dead_letter(body, **(names | attributes))

    def take(self) -> list[tuple[str, Attributes]]:
        """Take every message off the queue: its body and its attributes."""
        return self._take(self.queue_url)

    def take_dead_letters(self) -> list[tuple[str, Attributes]]:
        """Take every message that is in sight off the dead-letter queue."""
        return self._take(self.dead_letter_queue_url)

    def dead_letters(self) -> tuple[int, int]:
        """How many messages are on the dead-letter queue, in sight and out of sight."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        reply: Any = self.sqs.get_queue_attributes(
            QueueUrl=self.dead_letter_queue_url, AttributeNames=names
        )
        return int(reply["Attributes"][names[0]]), int(reply["Attributes"][names[1]])

    def _put(self, url: str, text: str, attributes: Attributes) -> None:
        self.sqs.send_message(
            QueueUrl=url,
            MessageBody=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def _take(self, url: str) -> list[tuple[str, Attributes]]:
        found: list[tuple[str, Attributes]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            for one in messages:
                values = {
                    name: value["StringValue"]
                    for name, value in one.get("MessageAttributes", {}).items()
                }
                found.append((one["Body"], values | _group(one)))
            self.sqs.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                    for number, one in enumerate(messages)
                ],
            )
        return found


def _group(message: Any) -> Attributes:
    group = message["Attributes"].get("MessageGroupId")
    return {"MessageGroupId": group} if group else {}


def users_of(messages: list[tuple[str, Attributes]]) -> Counter[tuple[str, str]]:
    """How often each (account, tag) is in the messages."""
    return Counter(
        (user["To_Account"], tag)
        for body, _ in messages
        for user in json.loads(body)["UserTags"]
        for tag in user["Tags"]
    )


@contextmanager
def operated(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    """Two empty queues, and the environment in which the commands reach them."""
    for name, text in aws_variables(aws_url).items():
        monkeypatch.setenv(name, text)
    sqs, name = sqs_client(aws_url), uuid.uuid4().hex
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    dead_letter_queue_url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    try:
        yield Operated(sqs, aws_url, queue_url, dead_letter_queue_url)
    finally:
        sqs.close()


class Gate:
    """Hands requests on to the emulator; of one action, only the first `passes` are answered.

    The work of each further one is done, too, when `does_work`: the reply alone is missing, as
    when the network fails on the way back. `held` is set when the first one waits for its reply.
    """

    def __init__(self, aws_url: str, action: str, passes: int, does_work: bool = True) -> None:
        self.held = threading.Event()
        self._opened = threading.Event()
        self._left = passes
        self._lock = threading.Lock()
        gate, pool = self, urllib3.PoolManager(maxsize=32)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stopped = self.headers["X-Amz-Target"].endswith(action) and gate._is_shut()
                reply = b"{}"
                if does_work or not stopped:
                    headers = {k: v for k, v in self.headers.items() if k != "Content-Length"}
                    answer = pool.request("POST", aws_url + self.path, body=body, headers=headers)
                    reply = answer.data
                if stopped:
                    gate.held.set()
                    gate._opened.wait(SECONDS)
                with suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/x-amz-json-1.0")
                    self.send_header("Content-Length", str(len(reply)))
                    self.end_headers()
                    self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                """Nothing is said."""

        self._pool = pool
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Gate":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.set()
        self._server.shutdown()
        self._thread.join(SECONDS)
        self._server.server_close()
        self._pool.clear()

    def _is_shut(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left < 0
