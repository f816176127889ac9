"""How long a message that returns to the queue stays invisible: backoff by visibility timeout.

Lambda leaves the visibility timeout of a message it reports as failed alone, so what is set here
before the reply stands. Failing to set it changes nothing else: the queue's own timeout applies.
"""

import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from timpush.aws import SQS_THREADS

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_VISIBILITY_SECONDS = 43_200
"""12 hours, the most that SQS takes.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
(2026-11).
"""
SOON_SECONDS = 5
UNFINISHED = frozenset({"deadline", "unsent", "isolation"})
"""Reasons of what an invocation did not get to: the next one goes on with it."""
LACK_OF_TIME = frozenset({"deadline", "unsent"})
HELD = frozenset({"down", "credentials", "configuration"})
"""Reasons for which the worker held its batch and probed TIMPush until its time was over."""
HELD_DELAY = 4
"""A held message is received again after up to 4 x `base`, 120 s by default: workers hold what is
visible and see the end of an outage themselves, so what is invisible must come back soon."""
HELD_RECEIVES = 80
"""After so many receives, `cap` takes the place of 4 x `base`. With the defaults, a message that is
alone comes back every 110 + 90 s on average, 80 times in 4.5 hours, and then every 110 + 675 s: 334
receives in 60 hours, below the 400 of MaxReceiveCount. Of 100,000 messages each is received every
3,670 s (3 workers x 1,000 messages in 110 s), so 59 times in 60 hours."""
MAX_ENTRIES = 10
MAX_DOUBLINGS = 20

Delay = tuple[str, int]
"""A receipt handle, and the seconds for which its message is to stay invisible."""


def backoff_seconds(
    reason: str,
    receives: int,
    base: int,
    cap: int,
    uniform: Callable[[float, float], float] = random.uniform,
    soon: int = SOON_SECONDS,
) -> int:
    """Seconds until a message that returns for `reason` is to be received again.

    `receives` counts those of the messages that it is the rest of, too. Doubles from `base` with
    each receive up to `cap`, with full jitter. What only lacked time comes back within `soon`
    seconds. What a worker held in vain comes back after a delay between half of it and the whole.
    """
    if reason in LACK_OF_TIME:
        return round(uniform(0, soon))
    if reason in HELD:
        most = min(cap, HELD_DELAY * base) if receives <= HELD_RECEIVES else cap
        return max(1, round(uniform(most / 2, most)))
    doublings = min(max(receives, 1) - 1, MAX_DOUBLINGS)
    return max(1, round(uniform(0, min(cap, base * 2**doublings))))


def set_delays(
    client: "SQSClient",
    queue_url: str,
    delays: Iterable[Delay],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Set visibility timeouts, several batches at a time, until `deadline` (of the clock).

    The shortest delays are set first: should time run out, the queue's own timeout applies to
    those that differ least from it. Returns how many SQS confirmed.
    """
    entries: list[Any] = [
        {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for position, (handle, seconds) in enumerate(sorted(delays, key=itemgetter(1)))
    ]
    seconds_left = deadline - clock()
    if not entries or seconds_left <= 0:
        return 0
    executor = ThreadPoolExecutor(SQS_THREADS)
    futures = [
        executor.submit(_set_batch, client, queue_url, entries[start : start + MAX_ENTRIES])
        for start in range(0, len(entries), MAX_ENTRIES)
    ]
    done, _ = wait(futures, seconds_left)
    executor.shutdown(wait=False, cancel_futures=True)
    return sum(future.result() for future in done)


def _set_batch(client: "SQSClient", queue_url: str, entries: list[Any]) -> int:
    try:
        reply = client.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
    except (ClientError, BotoCoreError):
        return 0
    return len(reply.get("Successful", []))
