"""Parked users back to the queue: sent first, deleted from the dead-letter queue once confirmed.

Of a message whose users were parked for several reasons only the chosen ones go back: the others
are parked anew, before the message is deleted. A kill at any point leaves a user at least in one
of the two queues; a removal made twice does no harm.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from timpush.queue.sender import Message, batches, send_batch
from timpush.queue.split import queue_messages
from timpush_ops.dead_letters import EXPIRED, MALFORMED, Hold, Letter, User

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SENDERS = 8
IN_FLIGHT = 2 * SENDERS
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at what SQS did not take."""
FIRST_PAUSES = PAUSES[:2]
"""The same for the first message, which goes alone: what is set up wrongly shows soon."""
MAX_REASON = 300
NAMED_ONLY = frozenset({MALFORMED, EXPIRED})
"""Codes that go back only when they are named: the first cannot succeed, and of the second the
removal is no longer wanted."""


Pauses = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Who goes back: users all of whose codes are in `codes` (empty: any but `NAMED_ONLY`), of
    messages of `job` (empty: any)."""

    codes: frozenset[str] = frozenset()
    job: str = ""

    def takes_codes(self, codes: set[str]) -> bool:
        """Whether a user that was parked for these goes back."""
        return codes <= self.codes if self.codes else not codes & NAMED_ONLY

    def takes_job(self, letter: Letter) -> bool:
        """Whether users of this message go back at all."""
        return self.job in ("", letter.job)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one parked message: sent to the queue, parked anew, then deleted."""

    letter: Letter
    users: list[User]
    to_queue: list[Message]
    to_park: list[Message]


@dataclass(frozen=True, slots=True)
class Queues:
    """Where to send and what to delete from, and what the messages sent get."""

    sqs: "SQSClient"
    queue_url: str
    dead_letter_queue_url: str
    not_after: float | None = None
    group_id: str = ""


@dataclass(slots=True)
class Result:
    """What went back (or would), and what SQS did not confirm, by its codes.

    `codes` counts users by each code they were parked for, `kept` messages with users that were
    not chosen. `deleted` are the messages that are parked no longer; `undeleted` went back, but
    SQS did not confirm that they are gone.
    """

    messages: int = 0
    users: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    deleted: list[Letter] = field(default_factory=list)
    undeleted: int = 0


def make_plan(letter: Letter, choice: Choice, queues: Queues) -> Plan | None:
    """What to do with a message; None when none of its users is chosen."""
    if not choice.takes_job(letter):
        return None
    if letter.document is None:
        if MALFORMED not in choice.codes:
            return None
        return Plan(letter, [], [Message(letter.body, letter.carried, queues.group_id)], [])
    chosen = [user for user in letter.users if choice.takes_codes(user.codes)]
    if not chosen:
        return None
    rest = [user for user in letter.users if not choice.takes_codes(user.codes)]
    limits = [one for one in (letter.document.not_after, queues.not_after) if one is not None]
    users = [(user.account, user.tags) for user in chosen]
    messages = [
        replace(message, group_id=queues.group_id)
        for message, _ in queue_messages(users, min(limits, default=None), letter.carried)
    ]
    return Plan(letter, chosen, messages, [park_anew(letter, rest)] if rest else [])


def park_anew(letter: Letter, users: list[User]) -> Message:
    """The message that parks these users of a parked message by themselves."""
    source = letter.attributes.get("SourceMessageId", letter.message_id)
    counted = Counter(error for user in users for error in user.errors)
    (error, _), *_ = counted.most_common(1)
    same = error.code == letter.attributes.get("ErrorCode")
    reason = (letter.reason if same else "") or f"{error.code}: {error.info}"[:MAX_REASON]
    body: dict[str, Any] = {
        "UserTags": [{"To_Account": user.account, "Tags": user.tags} for user in users],
        "Errors": [
            {"To_Account": user.account, "ErrorCode": _code(one.code), "ErrorInfo": one.info}
            for user in users
            for one in user.errors
        ],
        "SourceMessageId": source,
    }
    attributes = {"SourceMessageId": source, "ErrorCode": error.code, "Reason": reason}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Message(text, letter.carried | attributes)


def _code(code: str) -> int | str:
    """As the worker writes it: Tencent's codes are numbers."""
    return int(code) if code.isascii() and code.isdigit() else code


def send_back(
    hold: Hold,
    choice: Choice,
    queues: Queues,
    dry_run: bool,
    progress: Callable[[int], object],
) -> Result:
    """Send back what is chosen of what is parked; `progress` is told of messages dealt with.

    The first ones go alone. After one that SQS does not take, none is started any more.
    """
    result = Result()
    flying: set[Future[Result]] = set()
    executor = ThreadPoolExecutor(SENDERS)

    def collect(done: Iterable[Future[Result]]) -> None:
        for future in done:
            flying.discard(future)
            part = future.result()
            _add(result, part)
            for letter in part.deleted:
                hold.forget(letter)

    try:
        for letters in hold.receive():
            plans = [plan for one in letters if (plan := make_plan(one, choice, queues))]
            result.kept += len(letters) - len(plans)
            if dry_run:
                _add(result, count(plans))
            elif plans:
                pauses = PAUSES if result.messages else FIRST_PAUSES
                flying.add(executor.submit(carry_out, plans, queues, pauses))
            if flying and (len(flying) >= IN_FLIGHT or not result.messages):
                collect(wait(flying, return_when=FIRST_COMPLETED).done)
            progress(len(letters))
            if result.refused:
                break
        collect(list(flying))
    finally:
        executor.shutdown(cancel_futures=True)
    return result


def carry_out(plans: list[Plan], queues: Queues, pauses: Pauses) -> Result:
    """Send, park anew, and only then delete, as far as SQS confirms each."""
    to_queue = [plan.to_queue for plan in plans]
    plans, refused = _send(plans, to_queue, queues.sqs, queues.queue_url, pauses)
    to_park = [plan.to_park for plan in plans]
    plans, more = _send(plans, to_park, queues.sqs, queues.dead_letter_queue_url, pauses)
    result = count(plans)
    result.refused = refused + more
    result.deleted = _delete(plans, queues) if plans else []
    result.undeleted = len(plans) - len(result.deleted)
    return result


def _send(
    plans: list[Plan],
    messages: list[list[Message]],
    sqs: "SQSClient",
    url: str,
    pauses: Pauses,
) -> tuple[list[Plan], Counter[str]]:
    """Send the messages of each plan; the plans of which all were confirmed, and why others not."""
    owners = [index for index, some in enumerate(messages) for _ in some]
    entries = enumerate(message for some in messages for message in some)
    unsent = {
        position: code
        for batch in batches(entries)
        for position, code in send_batch(sqs, url, batch, pauses=pauses).items()
    }
    failed = {owners[position] for position in unsent}
    left = [plan for index, plan in enumerate(plans) if index not in failed]
    return left, Counter(unsent.values())


def _delete(plans: list[Plan], queues: Queues) -> list[Letter]:
    """Delete the plans' messages, at most 10; those that SQS confirmed."""
    reply = queues.sqs.delete_message_batch(
        QueueUrl=queues.dead_letter_queue_url,
        Entries=[
            {"Id": str(position), "ReceiptHandle": plan.letter.handle}
            for position, plan in enumerate(plans)
        ],
    )
    return [plans[int(row["Id"])].letter for row in reply.get("Successful", [])]


def count(plans: list[Plan]) -> Result:
    """The messages and users of plans."""
    users = [user for plan in plans for user in plan.users]
    codes = Counter(code for user in users for code in user.codes)
    kept = sum(bool(plan.to_park) for plan in plans)
    return Result(messages=len(plans), users=len(users), codes=codes, kept=kept)


def _add(total: Result, part: Result) -> None:
    total.messages += part.messages
    total.users += part.users
    total.codes += part.codes
    total.kept += part.kept
    total.refused += part.refused
    total.undeleted += part.undeleted
