"""Users of dead letters back to the queue: sent first, deleted here once SQS confirmed that.

Of a message whose users were rejected for several reasons only the chosen ones go back: the others
go to the dead-letter queue again, before the message is deleted. A kill at any point leaves a user
at least in one of the two queues; a removal made twice does no harm.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from timpush.queue.attributes import SOURCE_MESSAGE_ID, Message
from timpush.queue.dead_letter import MALFORMED, User, rewrite_letters
from timpush.queue.sender import Pauses, batches, send_batch, send_until_refused
from timpush.queue.split import queue_messages
from timpush_ops.dead_letters import EXPIRED, Hold, Letter

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SENDERS = 8
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at what SQS did not take."""
NAMED_ONLY = frozenset({MALFORMED, EXPIRED})
"""Codes that go back only when they are named: the first cannot succeed, and of the second the
removal is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who goes back: users all of whose codes are in `codes` (empty: any but `NAMED_ONLY`), of
    messages of `job` (empty: any)."""

    codes: frozenset[str] = frozenset()
    job: str = ""

    def takes_codes(self, codes: set[str]) -> bool:
        """Whether a user that was rejected with these goes back."""
        return codes <= self.codes if self.codes else not codes & NAMED_ONLY

    def takes_job(self, letter: Letter) -> bool:
        """Whether users of this message go back at all."""
        return self.job in ("", letter.job)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one dead letter: its users go to either queue again; then it is deleted."""

    letter: Letter
    users: list[User]
    to_queue: list[Message]
    to_dead_letters: list[Message]


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

    `codes` counts users by each code they were rejected with, `kept` messages with users that were
    not chosen. `deleted` are the messages that are on the dead-letter queue no longer; `undeleted`
    went back, but SQS did not confirm that they are gone.
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
    until = min(limits, default=None)
    cut = queue_messages(users, until, letter.carried, queues.group_id)
    messages = [message for message, _ in cut]
    return Plan(letter, chosen, messages, keep(letter, rest) if rest else [])


def keep(letter: Letter, users: list[User]) -> list[Message]:
    """The messages that hold these users of a dead letter by themselves."""
    source = letter.attributes.get(SOURCE_MESSAGE_ID, letter.message_id)
    return list(rewrite_letters(source, users, letter.attributes, letter.carried))


def send_back(
    hold: Hold,
    choice: Choice,
    queues: Queues,
    dry_run: bool,
    progress: Callable[[int], object],
) -> Result:
    """Send back what is chosen of what the queue holds; `progress` gets the messages dealt with.

    The first ones go alone. After one that SQS does not take, none is started any more.
    """
    result = Result()

    def read() -> Iterator[list[Plan]]:
        for letters in hold.receive():
            plans = [plan for one in letters if (plan := make_plan(one, choice, queues))]
            result.kept += len(letters) - len(plans)
            if dry_run:
                _add(result, count(plans))
            elif plans:
                yield plans
            progress(len(letters))

    def settle(ended: list[tuple[list[Plan], Result]]) -> bool:
        for _, part in ended:
            _add(result, part)
            for letter in part.deleted:
                hold.forget(letter)
        return not result.refused

    def send_plans(plans: list[Plan], pauses: Pauses) -> Result:
        return carry_out(plans, queues, pauses)

    send_until_refused(read(), send_plans, settle, SENDERS, PAUSES)
    return result


def carry_out(plans: list[Plan], queues: Queues, pauses: Pauses) -> Result:
    """Send to both queues, and only then delete, as far as SQS confirms each."""
    to_queue = [plan.to_queue for plan in plans]
    plans, refused = _send(plans, to_queue, queues.sqs, queues.queue_url, pauses)
    to_dead_letters = [plan.to_dead_letters for plan in plans]
    plans, more = _send(plans, to_dead_letters, queues.sqs, queues.dead_letter_queue_url, pauses)
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
    kept = sum(bool(plan.to_dead_letters) for plan in plans)
    return Result(messages=len(plans), users=len(users), codes=codes, kept=kept)


def _add(total: Result, part: Result) -> None:
    total.messages += part.messages
    total.users += part.users
    total.codes += part.codes
    total.kept += part.kept
    total.refused += part.refused
    total.undeleted += part.undeleted
