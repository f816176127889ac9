"""The worker behind a standard queue, while trouble comes and goes: nothing is lost or stuck.

SQS and TIMPush are models; the handler is the real one, in virtual time. What became of each user
is read off the two models.
"""

import json
from contextlib import suppress
from random import Random
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from remove_tags_worker import app
from support.batches import MALFORMED, Message, Pair, crowd, message
from support.examples import EXAMPLES
from support.printed import printed
from support.queue_model import DeadLetter, Queue, pairs_of
from support.scene import UNIX_START
from support.timpush_model import (
    BAD_TAG,
    GONE,
    NOT_IMPORTED,
    TAG_REFUSED,
    TROUBLES,
    Killed,
    TimPush,
    Trouble,
)
from support.world import World

SHARE = 25
SECONDS = 120.0
MAX_RECEIVES_AFTER = 3
"""The most that a message is received once everything works again."""
MAX_SECONDS_AFTER = 3_600.0
"""The most that it takes to drain the queue then: a visibility timeout and a few backoffs."""

ACCOUNTS = st.integers(0, 15).map("account-{}".format) | st.integers(0, 2).map((GONE + "{}").format)
TAGS = st.integers(0, 12).map("tag-{}".format) | st.integers(0, 12).map(
    lambda number: BAD_TAG if number == 12 else f"tag-{number}"
)
ROWS = st.lists(
    st.tuples(ACCOUNTS, st.lists(TAGS, min_size=1, max_size=4, unique=True)),
    min_size=1,
    max_size=4,
)
MESSAGES = st.one_of(
    st.builds(message, ROWS),
    st.builds(message, ROWS, st.integers(0, 3_000).map(lambda late: UNIX_START + late)),
    st.builds(crowd, st.sampled_from([1, 30, 101]), st.sampled_from([1, 11])),
    MALFORMED,
)
WAITS = st.sampled_from([0.0, 900.0, 1.0, 61.0, 300.0])
RNG = st.integers(0, 2**32).map(Random)


class WorkerBehindQueue(RuleBasedStateMachine):
    """Messages are sent, received, removed and settled while things break and are fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.queue = Queue(self.world.time)
        self.timpush = TimPush(self.world, SHARE)
        self.sent: dict[str, Message] = {}
        self.fresh_environment()

    @rule()
    def fresh_environment(self) -> None:
        self.worker = self.world.worker(
            self.timpush.respond,
            self.queue,
            TIMPUSH_CALLS_PER_SECOND=SHARE,
            WORKER_CONCURRENCY=1,
        )

    @initialize(messages=st.lists(MESSAGES, min_size=3, max_size=8))
    def begin(self, messages: list[Message]) -> None:
        self.send(messages)

    @rule(messages=st.lists(MESSAGES, min_size=1, max_size=4))
    def send(self, messages: list[Message]) -> None:
        for one in messages:
            self.sent[self.queue.send(one.body)] = one

    @rule(seconds=st.sampled_from([-3_600.0, -61.0, 61.0]))
    def wall_clock_jumps(self, seconds: float) -> None:
        self.world.jump(seconds)

    @rule(trouble=st.sampled_from(TROUBLES))
    def timpush_breaks(self, trouble: Trouble) -> None:
        self.timpush.troubles.add(trouble)

    @rule()
    def timpush_works_again(self) -> None:
        self.timpush.troubles.clear()

    @rule()
    def usersig_is_revoked(self) -> None:
        self.timpush.revoke()

    @rule()
    def usersig_is_taken_again(self) -> None:
        self.timpush.restore()

    @rule()
    def usersig_is_renewed(self) -> None:
        self.timpush.renew()

    @rule(text=st.sampled_from(["{}", "", '{"sdkappid": 1, "identifier": "a", "usersig": "eJ"}']))
    def secret_is_spoilt(self, text: str) -> None:
        self.world.secrets.value = text

    @rule(refusing=st.booleans(), delays_fail=st.booleans(), unreliable=st.sampled_from([0, 0.3]))
    def sqs_changes(self, refusing: bool, delays_fail: bool, unreliable: float) -> None:
        self.queue.refusing, self.queue.delays_fail = refusing, delays_fail
        self.queue.unreliable = unreliable

    @rule(rng=RNG, most=st.sampled_from([1_000, 5, 1]), wait=WAITS)
    def batch_is_worked_on(self, rng: Random, most: int, wait: float) -> None:
        self.world.time.spend(wait)
        if records := self.queue.receive(most, rng):
            self.settle(records, self.handle(records), rng)

    @rule(rng=RNG, wait=WAITS, trouble=st.sampled_from(TROUBLES))
    def batch_meets_trouble(self, rng: Random, wait: float, trouble: Trouble) -> None:
        self.timpush_breaks(trouble)
        self.batch_is_worked_on(rng, 1_000, wait)

    @rule(rng=RNG, calls=st.integers(0, 3), wait=WAITS)
    def environment_is_killed_in_mid_batch(self, rng: Random, calls: int, wait: float) -> None:
        self.world.time.spend(wait)
        records = self.queue.receive(1_000, rng)
        self.timpush.kill_in = calls
        with suppress(Killed):
            self.handle(records)  # if it lives to reply, the reply is lost
        self.timpush.kill_in = None
        self.fresh_environment()

    def handle(self, records: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
        deadline = self.world.time.clock() + SECONDS
        self.queue.patience = deadline - 0.5
        with printed(app.logger):
            reply = app.handle(records, self.worker, deadline)
        assert self.world.time.clock() <= deadline
        return reply

    def settle(self, records: list[dict[str, Any]], reply: dict[str, Any], rng: Random) -> None:
        """Lambda deletes what is not reported: each of these must have come to an end."""
        for message_id in self.queue.settle(records, reply, rng):
            self.check_ended(message_id)

    def teardown(self) -> None:
        """Everything works again, and the queue drains."""
        before = {one.message_id: one.receives for one in self.queue.held.values()}
        self.timpush_works_again()
        self.usersig_is_renewed()
        self.sqs_changes(False, False, 0.0)
        rounds, fixed_at = 0, self.world.time.clock()
        while (visible_at := self.queue.next_visible()) is not None:
            wait = max(0.0, visible_at - self.world.time.clock())
            receives = {one.message_id: one.receives for one in self.queue.held.values()}
            for message_id, received in receives.items():
                assert received - before.get(message_id, 0) <= MAX_RECEIVES_AFTER, "stuck"
            self.batch_is_worked_on(Random(rounds), 1_000, wait)
            rounds += 1
        event(f"messages: {min(len(self.sent), 20)}", f"rounds to drain: {rounds}")
        assert self.world.time.clock() - fixed_at <= MAX_SECONDS_AFTER
        assert not self.queue.moved, "received too often"
        for message_id in self.sent:
            self.check_ended(message_id)
        for letter in self.queue.dead_letters:
            self.check_dead_letter(letter)

    def check_ended(self, message_id: str) -> None:
        """Each pair of the message is off its account, dead-lettered, or in its rest."""
        origin = self.queue.origins[message_id]
        sent_at = self.queue.sent_at[origin]
        one = self.sent[origin]
        dead_letters = [
            one for one in self.queue.dead_letters if self.queue.origins[one.source] == origin
        ]
        if one.pairs is None:
            assert dead_letters
            return
        held = {pair for letter in dead_letters for pair in pairs_of(letter)}
        for rest in self.queue.held.values():
            if rest.attributes["Origin"] == origin and rest.message_id != message_id:
                users = json.loads(rest.body)["UserTags"]
                held |= {(user["To_Account"], tag) for user in users for tag in user["Tags"]}
        for pair in one.pairs - held:
            assert self.timpush.removed.get(pair, -1.0) >= sent_at, f"{pair} of {message_id} lost"

    def check_dead_letter(self, letter: DeadLetter) -> None:
        """It tells its reason; whatever it holds is hopeless."""
        source = self.sent[self.queue.origins[letter.source]]
        attributes = letter.attributes
        assert attributes["Reason"]
        if source.pairs is None:
            assert (letter.body, attributes["ErrorCode"]) == (source.body, "Malformed")
            return
        codes = {code for some in pairs_of(letter).values() for code in some}
        assert attributes["ErrorCode"] in codes
        for pair, given in pairs_of(letter).items():
            assert given & reasons(pair, source), f"{pair} was dead-lettered by {given}"


def reasons(pair: Pair, source: Message) -> set[str]:
    """The codes by which a pair of this message can end on the dead-letter queue."""
    account, tag = pair
    found = {str(NOT_IMPORTED)} if account.startswith(GONE) else set()
    if tag == BAD_TAG:
        found.add(str(TAG_REFUSED))
    if source.not_after is not None:
        found.add("Expired")
    return found


def test_nothing_is_lost_and_nothing_is_stuck() -> None:
    run_state_machine_as_test(WorkerBehindQueue, settings=EXAMPLES)
