"""Any batch, any replies, any clock, any secret, any trouble with dead letters: the promises hold.

What happened is judged from the calls recorded, from what was scripted as their replies and from
what lies on the dead-letter queue: never from the application's own ledger.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import event, example, given
from hypothesis import strategies as st

from remove_tags_worker import app
from support.batches import Message, Pair, batches, crowd, latest_by_pair, message
from support.clients import sqs_client
from support.dead_letter_faults import DeadLetterFaults, Mode, Stored
from support.examples import EXAMPLES
from support.printed import printed
from support.replies import (
    CODES,
    HOPELESS,
    ODD_REPLIES,
    ODD_ROWS,
    ODD_STATUSES,
    Kind,
    Said,
    Turn,
    answer,
)
from support.rotation import moto_server
from support.scene import UNIX_START, secret, usersig
from support.worker import record
from support.world import Answer, Sent, World

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SETTLE_SECONDS = 4.0  # a reply that comes later than this before the deadline may go unread
MAX_BYTES = 1_048_576
ORIGIN = "Origin"
ENOUGH_USERS = 9
"""A tag that is refused for so many users, each alone, and taken off none, is refused for all."""
EXPIRY = {
    usersig("first"): UNIX_START + 365 * 86_400,
    usersig("second"): UNIX_START + 365 * 86_400,
    usersig("short", 20): UNIX_START + 20,
    usersig("past", -1): UNIX_START - 1,
}
FIRST, SECOND, SHORT, PAST = EXPIRY
SECRETS: list[str | Exception] = [
    *(secret(one) for one in EXPIRY),
    "{}",
    "no JSON",
    secret(FIRST).replace('"administrator"', '"somebody"'),
    ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue"),
    EndpointConnectionError(endpoint_url="https://secretsmanager"),
]


@dataclass(frozen=True)
class Script:
    """What is outside the worker's hands; secrets are positions in SECRETS.

    `turns` answer the calls, over and over; `refused` accounts and tags fail, with `refused_code`,
    each call that would otherwise succeed. At the n-th call the wall clock jumps by `jumps[n]`,
    and `stored[n]` becomes the secret.
    """

    turns: list[Turn] = field(default_factory=lambda: [Turn()])
    refused: frozenset[str] = frozenset()
    refused_code: int = 90034
    jumps: dict[int, float] = field(default_factory=dict)
    secret: int = 0
    stored: dict[int, int] = field(default_factory=dict)
    read_seconds: float = 0.0
    faults: list[Mode] = field(default_factory=list)
    delays_fail: bool = False
    seconds: float = 110.0
    share: int = 25
    chance: float = 0.5


class Case:
    """One environment of the worker and a script; `handle` is one invocation."""

    def __init__(self, script: Script, dead_letters: "DeadLetters") -> None:
        self.script = script
        self.world = World()
        self.world.secrets.value = SECRETS[script.secret]
        self.world.secrets.seconds = script.read_seconds
        self.said: list[Said] = []
        self.dead_letters = dead_letters
        self.faults = dead_letters.faults
        self.worker = self.world.worker(
            self.respond,
            dead_letters.client,
            script.chance,
            TIMPUSH_CALLS_PER_SECOND=script.share,
            WORKER_CONCURRENCY=1,
            QUEUE_URL=dead_letters.queue_url,
            DEAD_LETTER_QUEUE_URL=dead_letters.url,
            HASH_ACCOUNTS_IN_LOGS="false",
        )

    def respond(self, sent: Sent) -> Answer:
        script, number = self.script, len(self.said)
        turn = script.turns[number % len(script.turns)]
        held = {name for pair in sent.pairs for name in pair}
        if turn.kind == "ok" and held & script.refused:
            turn = Turn("fails", script.refused_code, turn.latency)
        said = answer(turn, sent)
        self.said.append(said)
        self.world.jump(script.jumps.get(number, 0.0))
        if number in script.stored:
            self.world.secrets.value = SECRETS[script.stored[number]]
        return said.answer

    def handle(self, batch: list[tuple[str, Message]]) -> "Result":
        earlier, time = len(self.said), self.world.time
        started, deadline = time.clock(), time.clock() + self.script.seconds
        self.world.earliest, self.world.latest = float("inf"), float("-inf")
        self.faults.order(time, deadline - 0.5, self.script.faults, self.script.delays_fail)
        self.world.now()
        records = [sent_record(message_id, one.body) for message_id, one in batch]
        with printed(app.logger) as written:
            reply = app.handle(records, self.worker, deadline)
        assert time.clock() <= deadline, "it outlasted its deadline"
        return Result(
            batch, self, reply, self.said[earlier:], started, deadline, written.getvalue()
        )


def sent_record(message_id: str, text: str) -> dict[str, Any]:
    """A record with an attribute of its sender, by which its rest is known again."""
    attributes = {ORIGIN: {"stringValue": message_id, "dataType": "String"}}
    return record(message_id, text) | {"messageAttributes": attributes}


class DeadLetters:
    """Two queues on an emulated SQS, and the trouble with sending to them."""

    def __init__(self, url: str) -> None:
        self.client: SQSClient = sqs_client(url)
        self.faults = DeadLetterFaults(self.client)
        self.url, self.queue_url = (
            self.client.create_queue(
                QueueName=name, Attributes={"MaximumMessageSize": str(MAX_BYTES)}
            )["QueueUrl"]
            for name in ("dead", "queue")
        )

    def take(self) -> list[Stored]:
        """Everything on it; it is empty afterwards."""
        found: list[Stored] = []
        while messages := self._receive():
            for one in messages:
                values = one.get("MessageAttributes", {}).items()
                found.append((one["Body"], {k: v["StringValue"] for k, v in values}))
            handles: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                for number, one in enumerate(messages)
            ]
            self.client.delete_message_batch(QueueUrl=self.url, Entries=handles)
        return found

    def _receive(self) -> list[Any]:
        reply = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return reply.get("Messages", [])


@dataclass
class Result:
    """One invocation: what came in, what was said meanwhile, what came out."""

    batch: list[tuple[str, Message]]
    case: Case
    reply: dict[str, list[dict[str, str]]]
    said: list[Said]
    started: float
    deadline: float
    written: str

    def check(self) -> None:
        reported = self.check_contract()
        stored = self.case.dead_letters.take()
        confirmed = self.case.faults.confirmed
        assert not Counter(map(repr, confirmed)) - Counter(map(repr, stored))
        self.check_calls()
        self.check_secrecy(stored)
        dead = self.check_documents(stored)
        sure = self.check_documents(confirmed)
        for message_id, one in dict(self.batch).items():
            if one.pairs is None:
                self.check_malformed(message_id, one, reported, confirmed)
            else:
                self.check_message(message_id, one, reported, dead, sure)

    def check_contract(self) -> set[str]:
        """The reply is as AWS wants it; the ids that it reports."""
        assert json.loads(json.dumps(self.reply)) == self.reply
        assert set(self.reply) == {"batchItemFailures"}
        rows = self.reply["batchItemFailures"]
        assert all(set(row) == {"itemIdentifier"} for row in rows)
        reported = [row["itemIdentifier"] for row in rows]
        assert len(set(reported)) == len(reported)
        assert set(reported) <= {message_id for message_id, _ in self.batch}
        return set(reported)

    def check_calls(self) -> None:
        """Every call keeps the limits of TIMPush, the budget and the time."""
        latest, share = self.latest, self.case.script.share
        for call in (said.sent for said in self.said):
            assert 1 <= len(call.users) <= 100
            assert len(set(call.accounts)) == len(call.users), "an account twice in a call"
            for _, tags in call.users:
                assert 1 <= len(set(tags)) == len(tags) <= 10
                assert all(len(tag.encode()) <= 50 for tag in tags)
            assert all(latest[pair] >= call.unix for pair in call.pairs), "no longer wanted"
            assert call.unix <= EXPIRY[call.usersig], "an expired UserSig was sent"
            assert call.at >= self.started + 1 / share, "an environment before it called just then"
            assert call.at + 3.5 <= self.deadline - SETTLE_SECONDS
        starts = [said.sent.at for said in self.case.said]
        for first, beyond in zip(starts, starts[share:], strict=False):
            assert beyond - first > 1, f"more than {share} starts within a second"

    def check_secrecy(self, stored: list[Stored]) -> None:
        """No UserSig, plain or as a URL spells it, is in anything that came out."""
        out = f"{self.written}{self.reply}{stored}"
        for one in EXPIRY:
            assert one not in out
            assert quote_plus(one) not in out

    def check_documents(self, stored: list[Stored]) -> dict[str, dict[Pair, set[str]]]:
        """Each dead letter is whole; the pairs that they hold, and why, by message."""
        dead: dict[str, dict[Pair, set[str]]] = {}
        for body, attributes in stored:
            source = dict(self.batch)[attributes["SourceMessageId"]]
            size = len(body) + sum(len(k) + 6 + len(v) for k, v in attributes.items())
            assert size <= MAX_BYTES
            assert attributes["Reason"]
            if source.pairs is None:
                assert body == source.body
                assert attributes["ErrorCode"] == "Malformed"
                continue
            document = json.loads(body)
            assert document["SourceMessageId"] == attributes["SourceMessageId"]
            codes: dict[str, set[str]] = {}
            for row in document["Errors"]:
                codes.setdefault(row["To_Account"], set()).add(str(row["ErrorCode"]))
            users = document["UserTags"]
            pairs = [(user["To_Account"], tag) for user in users for tag in user["Tags"]]
            assert set(pairs) <= source.pairs
            assert len(set(pairs)) == len(pairs) > 0
            assert set(codes) == {account for account, _ in pairs}
            assert attributes["ErrorCode"] in {code for some in codes.values() for code in some}
            of_message = dead.setdefault(attributes["SourceMessageId"], {})
            for pair in pairs:
                of_message.setdefault(pair, set()).update(codes[pair[0]])
        return dead

    def check_malformed(
        self, message_id: str, one: Message, reported: set[str], confirmed: list[Stored]
    ) -> None:
        there = [body for body, a in confirmed if a["SourceMessageId"] == message_id]
        if message_id in reported:
            assert self.case.faults.struck, "returned, though it could be dead-lettered"
        else:
            assert there == [one.body]

    def check_message(
        self,
        message_id: str,
        one: Message,
        reported: set[str],
        dead: dict[str, dict[Pair, set[str]]],
        sure: dict[str, dict[Pair, set[str]]],
    ) -> None:
        why = dead.get(message_id, {})
        for pair, codes in why.items():
            self.check_dead_letter(pair, codes, one)
        pairs = one.pairs or frozenset()
        rest = self.rest(message_id)
        if message_id not in reported:
            confirmed = sure.get(message_id, {})
            assert not rest & confirmed.keys(), "dead-lettered, and to be tried again"
            assert not rest or rest < pairs, "no progress"
            for pair in pairs - rest:
                assert self.removed(pair) != (pair in confirmed), "lost, or done and dead-lettered"
            return
        assert not rest or self.case.faults.struck, "returned, though it was split"
        assert not all(map(self.settled, pairs)) or self.case.faults.struck, "nothing is left"
        assert not all(map(self.removed, pairs)), "all of it was done"
        assert not why or self.case.faults.struck, "dead-lettered and returned"

    def check_dead_letter(self, pair: Pair, codes: set[str], one: Message) -> None:
        """Only what is hopeless is dead-lettered: by codes that said so, or because it expired."""
        if self.expired(one):
            codes = codes - {"Expired"}
        shown = {str(code) for said in self.said_of.get(pair, ()) for code in said.hopeless(*pair)}
        assert codes <= {str(code) for code in HOPELESS}
        # The rows of a document speak of an account: at least one of them is about this tag.
        assert codes & (shown | self.refused_for_all.get(pair[1], set())) or self.expired(one)
        assert not self.removed(pair), "dead-lettered, though it was done"

    def rest(self, message_id: str) -> set[Pair]:
        """The pairs of a message that SQS confirmed as a message of their own."""
        return {
            (row["To_Account"], tag)
            for body, attributes in self.case.faults.rests
            if attributes[ORIGIN] == message_id
            for row in json.loads(body)["UserTags"]
            for tag in row["Tags"]
        }

    def expired(self, one: Message) -> bool:
        return one.not_after is not None and one.not_after < self.case.world.latest

    @cached_property
    def said_of(self) -> dict[Pair, list[Said]]:
        """What came back of the calls that held a pair."""
        now = self.case.world.time.clock()
        of: dict[Pair, list[Said]] = {}
        for said in self.said:
            for pair in said.sent.pairs if said.ended <= now else ():
                of.setdefault(pair, []).append(said)
        return of

    @cached_property
    def refused_for_all(self) -> dict[str, set[str]]:
        """Tags that were refused for enough users alone and taken off none, with the codes."""
        alone: dict[tuple[str, str], set[str]] = {}
        for (account, tag), replies in self.said_of.items():
            for code in {code for said in replies for code in said.hopeless(account, tag)}:
                alone.setdefault((tag, str(code)), set()).add(account)
        lost = {tag for account, tag in self.said_of if self.removed((account, tag))}
        refused: dict[str, set[str]] = {}
        for (tag, shown), accounts in alone.items():
            if len(accounts) >= ENOUGH_USERS and tag not in lost:
                refused.setdefault(tag, set()).add(shown)
        return refused

    @cached_property
    def latest(self) -> dict[Pair, float]:
        return latest_by_pair(self.batch)

    def removed(self, pair: Pair) -> bool:
        return any(said.removed(*pair) for said in self.said_of.get(pair, ()))

    def settled(self, pair: Pair) -> bool:
        """Whether it is certain that nothing is left to do for it."""
        until = self.deadline - SETTLE_SECONDS
        in_time = [said for said in self.said_of.get(pair, ()) if said.ended <= until]
        return (
            self.latest[pair] < self.case.world.earliest
            or any(said.removed(*pair) for said in in_time)
            or any(said.hopeless(*pair) for said in in_time)
        )


@pytest.fixture(scope="module")
def dead_letters() -> Iterator[DeadLetters]:
    with moto_server() as url:
        found = DeadLetters(url)
        yield found
        found.client.close()


LATENCIES = st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.9])
KINDS: list[Kind] = list(Kind.__args__)  # type: ignore[attr-defined]
TURNS = st.builds(
    Turn,
    st.just("ok") | st.sampled_from(KINDS),
    st.sampled_from(CODES),
    LATENCIES,
    st.sampled_from([1, 2, 7, 50]),
    st.integers(0, 20),
)
JUMPS = st.sampled_from([-86_400.0, -90.0, -1.0, 2.0, 31.0, 3_600.0, 400 * 86_400.0])
STORED = st.sampled_from([0, 1, 0, 1, 0, 1, *range(len(SECRETS))])
MODES: st.SearchStrategy[Mode] = st.sampled_from(
    ["late", "lost", "partly", "taken", "refused", "broken", "unreachable"]
)
SCRIPTS = st.builds(
    Script,
    turns=st.lists(TURNS, min_size=1, max_size=8),
    refused=st.frozensets(
        st.integers(0, 12).map("account-{}".format)
        | st.integers(0, 12).map("tag-{}".format)
        | st.integers(0, 100).map("crowd-{}".format),
        max_size=4,
    ),
    refused_code=st.sampled_from(CODES),
    jumps=st.dictionaries(st.integers(0, 12), JUMPS, max_size=2),
    secret=st.just(0) | st.just(0) | STORED,
    stored=st.dictionaries(st.integers(0, 6), STORED, max_size=2),
    read_seconds=st.sampled_from([0.0, 0.1, 2.0, 6.5]),
    faults=st.just([]) | st.lists(MODES, max_size=3),
    delays_fail=st.booleans(),
    seconds=st.just(120.0) | st.just(120.0) | st.sampled_from([60.0, 30.0, 12.0, 8.0, 4.1, 1.0]),
    share=st.sampled_from([1, 5, 25, 100]),
    chance=st.sampled_from([0.0, 0.5, 0.99]),
)

BAD_ACCOUNT = [Turn("lists", 70107, step=3)]
UNDONE_OVER_1_MIB = [("id-0", crowd(9_000, 2, "account-with-a-longer-name-to-fill-the-body"))]


@EXAMPLES
@given(st.lists(batches(), min_size=1, max_size=2), SCRIPTS)
@example([[]], Script())
@example([[("id-0", crowd(100)), ("id-1", crowd(3))]], Script(BAD_ACCOUNT))
@example([UNDONE_OVER_1_MIB], Script([Turn("lists", 70107)], share=100))
@example([[("id-0", crowd(250, 11)), ("id-1", crowd(101))]], Script(refused=frozenset({"tag-7"})))
@example(
    [[("id-0", message([("a", ["x"])], UNIX_START + 1)), ("id-1", message([("a", ["x", "y"])]))]],
    Script([Turn(latency=1.0)], jumps={0: 3_600.0}, share=1),
)
def test_every_promise_holds(
    dead_letters: DeadLetters, messages: list[list[tuple[str, Message]]], script: Script
) -> None:
    case = Case(script, dead_letters)
    for batch in messages:
        result = case.handle(batch)
        result.check()
        note(result)


EACH_KIND = [
    *(Turn(kind, code) for kind in KINDS for code in (70107, 90034, 91000)),
    *(Turn("odd rows", 70107, number=number) for number in range(len(ODD_ROWS))),
    *(Turn("odd reply", number=number) for number in range(len(ODD_REPLIES))),
    *(Turn("odd status", number=number) for number in range(len(ODD_STATUSES))),
]


@pytest.mark.parametrize("turn", EACH_KIND, ids="{0.kind} {0.code} {0.number}".format)
def test_every_promise_holds_for_each_kind_of_reply(dead_letters: DeadLetters, turn: Turn) -> None:
    batch = [("id-0", crowd(3, 2)), ("id-1", message([("account-0", ["tag-0"])]))]
    Case(Script([turn, Turn()]), dead_letters).handle(batch).check()


def note(result: Result) -> None:
    """For --hypothesis-show-statistics: whether the examples reach what they are meant to reach."""
    event(f"reported: {bool(result.reply['batchItemFailures'])}")
    event(f"dead letters: {bool(result.case.faults.confirmed)}")
    event(f"trouble with dead letters: {result.case.faults.struck}")
    event(f"calls: {min(len(result.said), 10)}")
    for line in result.written.splitlines():
        with suppress(ValueError):
            for reason in json.loads(line).get("handed_back", ()):
                event(f"returned to the queue: {reason}")
