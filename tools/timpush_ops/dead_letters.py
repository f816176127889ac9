"""Messages of the dead-letter queue: received, kept invisible for a while, made visible again.

Nothing is deleted here. Should the process be killed, SQS makes the messages visible again when
their visibility timeout has passed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from timpush import outcomes
from timpush.messages import Document
from timpush.queue.attributes import CARRIED, ERROR_CODE, JOB_ID, REASON
from timpush.queue.dead_letter import MALFORMED, User, read_document, read_users
from timpush.queue.delays import set_delays
from timpush_ops.output import plural

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

EXPIRED = str(outcomes.EXPIRED.code)
EMPTY_RECEIVES = 3
"""Empty receives in a row after which nothing more is expected. One is enough when as much was read
as SQS counts; that count is not exact."""
WAIT_SECONDS = 1
RELEASE_SECONDS = 60.0
CLOCK_SECONDS = 1
"""The precision of the times in SQS's replies."""
MAX_IN_FLIGHT = 100_000
"""SQS allows about 120,000 messages in flight on a queue."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the dead-letter queue. `document` is None when it is malformed; `users` is empty
    then."""

    message_id: str
    handle: str
    body: str
    attributes: dict[str, str]
    sent_at: float
    document: Document | None
    users: list[User] = field(default_factory=list)

    @property
    def job(self) -> str:
        return self.attributes.get(JOB_ID, "")

    @property
    def reason(self) -> str:
        return self.attributes.get(REASON, "")

    @property
    def carried(self) -> dict[str, str]:
        """The attributes that go back to the queue with its users."""
        return {name: self.attributes[name] for name in CARRIED if name in self.attributes}

    @property
    def sent_on(self) -> str:
        return datetime.fromtimestamp(self.sent_at, UTC).isoformat(timespec="seconds")


class Hold:
    """Receives messages, each once, and keeps them invisible until `release`.

    About `expected` are there. At most `limit` messages are received in at most `seconds`, which is
    also the visibility timeout: then `stopped` says why there may be more. What was dead-lettered
    after `began` (Unix seconds, by SQS's clock) is left alone: users that are sent back and
    rejected again must not be sent back indefinitely.
    """

    def __init__(
        self,
        sqs: "SQSClient",
        queue_url: str,
        limit: int,
        seconds: int,
        began: float,
        expected: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stopped = ""
        self._sqs = sqs
        self._queue_url = queue_url
        self._limit = min(limit, MAX_IN_FLIGHT)
        self._seconds = seconds
        self._began = began
        self._expected = expected
        self._clock = clock
        self._handles: dict[str, str] = {}
        self._gone: set[str] = set()

    def receive(self) -> Iterator[list[Letter]]:
        """The messages, in parts of up to 10, until receives bring nothing more."""
        until = self._clock() + self._seconds - WAIT_SECONDS
        empty = read = 0
        while empty < (1 if read >= self._expected else EMPTY_RECEIVES):
            room = self._limit - len(self._handles) - len(self._gone)
            if room <= 0:
                self.stopped = f"{plural(self._limit, 'message')} read"
                return
            if self._clock() >= until:
                self.stopped = f"{self._seconds} seconds were over"
                return
            received = self._receive(min(room, 10))
            fresh = [one for one in received if one.sent_at <= self._began]
            read += len(fresh)
            if fresh:
                empty = 0
                yield fresh
            elif not received or read >= self._expected:
                empty += 1

    def forget(self, letter: Letter) -> None:
        """It was deleted: it is not to be made visible again."""
        self._handles.pop(letter.message_id, None)
        self._gone.add(letter.message_id)

    def release(self) -> int:
        """Make visible what is still held; returns how many SQS did not confirm."""
        handles, self._handles = self._handles, {}
        delays = [(handle, 0) for handle in handles.values()]
        until = self._clock() + RELEASE_SECONDS
        return len(delays) - set_delays(self._sqs, self._queue_url, delays, until, self._clock)

    def _receive(self, number: int) -> list[Letter]:
        """Up to 10 messages that were not received before."""
        reply = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=number,
            VisibilityTimeout=self._seconds,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        letters = [read_letter(message) for message in reply.get("Messages", [])]
        letters = [one for one in letters if one.message_id not in self._gone]
        known = self._handles.keys() & {one.message_id for one in letters}
        self._handles |= {one.message_id: one.handle for one in letters}
        return [one for one in letters if one.message_id not in known]


def server_time(reply: Any) -> float:
    """The time of a reply by SQS's clock, rounded up to a second; our own when it has none."""
    date = reply["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp() + CLOCK_SECONDS
    except ValueError:
        return time.time()


def read_letter(message: Any) -> Letter:
    """A received message, read for what it says."""
    attributes = {
        name: value["StringValue"]
        for name, value in message.get("MessageAttributes", {}).items()
        if "StringValue" in value
    }
    document = read_document(message["Body"], attributes)
    if document is None:
        attributes[ERROR_CODE] = MALFORMED
    return Letter(
        message_id=message["MessageId"],
        handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes=attributes,
        sent_at=int(message["Attributes"]["SentTimestamp"]) / 1000,
        document=document,
        users=read_users(document.users, message["Body"], attributes) if document else [],
    )
