"""Sends messages to a queue: in batches, several at a time, every entry's result checked."""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from timpush.queue.attributes import MAX_BYTES, Message
from timpush.queue.split import cut

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_ENTRIES = 10
SENDERS = 8
PAUSES = (0.1, 0.4)
"""Seconds before each further attempt at entries that were not taken."""

_WHOLE_QUEUE = (
    "AccessDenied",
    "DoesNotExist",
    "NonExistentQueue",
    "Throttl",
    "KMS",
    "Kms",
    "Token",
)
"""Parts of the codes of refusals that concern the whole queue, whatever the entries are."""


Entry = tuple[int, Message]
"""A message and its position among all that are to be sent."""
Unsent = dict[int, str]
"""The position of each message that SQS did not confirm, and the code of the reason."""
Pauses = Sequence[float]
"""Seconds before each further attempt at what SQS did not take."""
K = TypeVar("K", bound=Hashable)
U = TypeVar("U")
R = TypeVar("R")


def send(
    client: "SQSClient",
    queue_url: str,
    messages: Sequence[Message],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> set[int]:
    """Send messages until `deadline` (of the clock); what SQS does not take is tried again.

    Returns the positions of the messages that SQS did not confirm.
    """
    fit = [entry for entry in enumerate(messages) if entry[1].size() <= MAX_BYTES]
    unsent = set(range(len(messages))).difference(position for position, _ in fit)
    executor = ThreadPoolExecutor(SENDERS)

    def send_all(batch: list[Entry]) -> Unsent:
        return send_batch(client, queue_url, batch, deadline, clock, sleep)

    futures = {executor.submit(send_all, batch): batch for batch in batches(fit)}
    done, late = wait(futures, max(0.0, deadline - clock()))
    executor.shutdown(wait=False, cancel_futures=True)
    for future in done:
        unsent.update(future.result())
    return unsent.union(position for future in late for position, _ in futures[future])


def send_groups(
    client: "SQSClient",
    queue_url: str,
    groups: Mapping[K, Sequence[Message]],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> set[K]:
    """Send groups of messages until `deadline` (of the clock).

    Returns the groups of which SQS did not confirm every message.
    """
    owners = [key for key, messages in groups.items() for _ in messages]
    messages = [message for some in groups.values() for message in some]
    return {owners[position] for position in send(client, queue_url, messages, deadline, clock)}


def send_until_refused(
    units: Iterable[U],
    send_unit: Callable[[U, Pauses], R],
    settle: Callable[[list[tuple[U, R]]], bool],
    senders: int,
    pauses: Pauses,
) -> None:
    """Send units, several at a time; once `settle` says that one was refused, start no other.

    `send_unit` runs in a thread; `settle` gets what has ended, in this thread, and returns whether
    all of it was sent. The first unit goes alone and is tried again less often than the others: a
    queue that refuses everything shows soon. However it ends, what was sent is settled.
    """
    flying: dict[Future[R], U] = {}

    def collect(done: Iterable[Future[R]]) -> bool:
        return settle([(flying.pop(future), future.result()) for future in list(done)])

    executor = ThreadPoolExecutor(senders)
    try:
        for number, unit in enumerate(units):
            flying[executor.submit(send_unit, unit, pauses if number else pauses[:2])] = unit
            if len(flying) < (2 * senders if number else 1):
                continue
            if not collect(wait(flying, return_when=FIRST_COMPLETED).done):
                break
        while flying:
            collect(wait(flying, return_when=FIRST_COMPLETED).done)
    finally:
        executor.shutdown(cancel_futures=True)
        collect([future for future in flying if not future.cancelled()])


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries into batches that SQS takes: at most 10, at most 1 MiB."""
    return cut(((entry, entry[1].size()) for entry in entries), MAX_BYTES, MAX_ENTRIES)


def send_batch(
    client: "SQSClient",
    queue_url: str,
    batch: list[Entry],
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    pauses: Pauses = PAUSES,
) -> Unsent:
    """Send one batch, and after each pause again what SQS did not take of it."""
    unsent = _try(client, queue_url, batch)
    for pause in pauses:
        if not unsent or clock() + pause >= deadline:
            break
        sleep(pause)
        unsent = _try(client, queue_url, [entry for entry in batch if entry[0] in unsent])
    return unsent


def _try(client: "SQSClient", queue_url: str, batch: list[Entry]) -> Unsent:
    try:
        reply = client.send_message_batch(QueueUrl=queue_url, Entries=_entries(batch))
    except (ClientError, ParamValidationError) as error:
        if len(batch) > 1 and not _whole_queue(error):  # one bad entry must not keep the others
            tries = [_try(client, queue_url, [entry]) for entry in batch]
            return {position: code for unsent in tries for position, code in unsent.items()}
        return dict.fromkeys((position for position, _ in batch), _code(error))
    except BotoCoreError as error:
        return dict.fromkeys((position for position, _ in batch), type(error).__name__)
    sent = {row["Id"] for row in reply.get("Successful", [])}
    codes = {row["Id"]: row.get("Code", "") for row in reply.get("Failed", [])}
    return {
        position: codes.get(str(position)) or "NotConfirmed"
        for position, _ in batch
        if str(position) not in sent
    }


def _whole_queue(error: ClientError | ParamValidationError) -> bool:
    if isinstance(error, ParamValidationError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return status >= 500 or any(part in _code(error) for part in _WHOLE_QUEUE)


def _code(error: ClientError | ParamValidationError) -> str:
    if isinstance(error, ParamValidationError):
        return type(error).__name__
    return error.response.get("Error", {}).get("Code", "ClientError")


def _entries(batch: list[Entry]) -> Any:
    return [
        {
            "Id": str(position),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            },
            **({"MessageGroupId": message.group_id} if message.group_id else {}),
            **({"DelaySeconds": message.delay} if message.delay else {}),
        }
        for position, message in batch
    ]
