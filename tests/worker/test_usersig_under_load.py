"""A UserSig ends while messages keep coming: none is lost or dead-lettered; the rotation ends it.

The worker's and the rotation's own handlers, between SQS and Secrets Manager on one side and a
stand-in TIMPush on the other.
"""

import itertools
import json
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from remove_tags_worker import app as worker
from support.rotation import Account, Context, moto_server, rotating

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeFilterType
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

LIFE = 4  # seconds that a UserSig lives here
SECONDS = 60.0  # the most that any of this may take


class Load:
    """A queue with users that keep coming, and the worker that empties it."""

    def __init__(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        self.account = account
        self.sqs: SQSClient = boto3.client("sqs")
        name = uuid.uuid4().hex
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.dead_letters = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        self.until = time.monotonic() + SECONDS
        self.handed_back = 0
        self._numbers = itertools.count()
        for variable, text in {
            "TIMPUSH_SECRET_ID": account.usersig_id,
            "TIMPUSH_CALLS_PER_SECOND": "100",
            "WORKER_CONCURRENCY": "2",
            "QUEUE_URL": self.queue,
            "DEAD_LETTER_QUEUE_URL": self.dead_letters,
        }.items():
            monkeypatch.setenv(variable, text)

    def store(self, lives: int) -> str:
        """Make a UserSig current that lives so many seconds."""
        secret = self.account.timpush.secret(expire=lives)
        self.account.secrets.put_secret_value(SecretId=self.account.usersig_id, SecretString=secret)
        usersig: str = json.loads(secret)["usersig"]
        return usersig

    def send(self) -> None:
        """Ten more messages of a user each, known to TIMPush and tagged."""
        entries: list[SendMessageBatchRequestEntryTypeDef] = []
        for number in itertools.islice(self._numbers, 10):
            user = f"user-{number}"
            self.account.timpush.tags[user] = {"gold", "keep"}
            body = json.dumps({"UserTags": [{"To_Account": user, "Tags": ["gold"]}]})
            entries.append({"Id": str(number), "MessageBody": body})
        self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def work(self) -> bool:
        """One invocation with what is there; False when nothing is."""
        assert time.monotonic() < self.until, "it takes too long"
        batch = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        messages = {one["MessageId"]: one for one in batch.get("Messages", [])}
        if not messages:
            return False
        records = [
            {"messageId": one, "receiptHandle": message["ReceiptHandle"], "body": message["Body"]}
            for one, message in messages.items()
        ]
        reply = worker.lambda_handler({"Records": records}, Context(9.0))
        failed = {one["itemIdentifier"] for one in reply["batchItemFailures"]}
        self.handed_back += len(failed)
        for one, message in messages.items():
            handle = message["ReceiptHandle"]
            if one in failed:  # its backoff passes
                self.sqs.change_message_visibility(
                    QueueUrl=self.queue, ReceiptHandle=handle, VisibilityTimeout=0
                )
            else:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=handle)
        return True

    def send_until_handed_back(self) -> None:
        """Send and work until messages return to the queue, and a while longer."""
        while not self.handed_back:
            self.send()
            self.work()
        for _ in range(5):
            self.send()
            self.work()

    def drain(self) -> None:
        while self.work():
            pass

    def settled(self) -> bool:
        """Whether every user lost the one tag, and no message is anywhere."""
        left = [user for user, tags in self.account.timpush.tags.items() if tags != {"keep"}]
        names: list[QueueAttributeFilterType] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ]
        counts = [
            self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            for url in (self.queue, self.dead_letters)
        ]
        return not left and {int(n) for one in counts for n in one.values()} == {0}

    def usersigs(self) -> list[str]:
        """The UserSigs that TIMPush was sent for removals, each once, in the order of coming."""
        calls = self.account.timpush.received
        used = [one.query["usersig"] for one in calls if one.path.endswith("remove_tag")]
        return list(dict.fromkeys(used))

    def refusals(self) -> int:
        """The calls that TIMPush refused."""
        return sum(call.code != 0 for call in self.account.timpush.received)


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def load(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    with rotating(aws_url, monkeypatch.setenv) as account:
        yield Load(account, monkeypatch)


def test_a_usersig_that_expires_under_load_costs_no_message_until_the_rotation_runs(
    load: Load,
) -> None:
    # Given a UserSig that expires while messages are worked on
    first = load.store(lives=LIFE)
    load.send_until_handed_back()

    # When the rotation runs and messages keep coming
    load.account.rotate()
    load.send()
    load.drain()

    # Then everything is done, with the new UserSig; at most one call expired on its way
    assert load.settled()
    assert load.usersigs() == [first, load.account.value()["usersig"]]
    assert load.refusals() <= 1


def test_a_usersig_that_is_rotated_in_time_costs_not_even_a_second_attempt(load: Load) -> None:
    # Given a UserSig with a short time to live, in use
    first = load.store(lives=LIFE)
    expires = time.time() + LIFE
    load.send()
    load.work()

    # When the rotation runs, and messages keep coming until long after the expiry
    load.account.rotate()
    while time.time() < expires + 1.5:
        load.send()
        load.work()
    load.drain()

    # Then no message returned to the queue
    assert load.handed_back == 0
    assert load.settled()
    assert load.usersigs() == [first, load.account.value()["usersig"]]


def test_a_key_that_is_revoked_under_load_costs_no_message_until_the_new_one_is_rotated_in(
    load: Load,
) -> None:
    # Given a UserSig in use whose key is replaced in Tencent's console
    load.store(lives=3_600)
    load.send()
    load.work()
    load.account.timpush.key = "f" * 64
    load.send_until_handed_back()

    # When the new key is stored and the rotation runs
    load.account.store_key()
    load.account.rotate()
    load.drain()

    # Then everything is done, and TIMPush was sent the old UserSig only once more
    assert load.settled()
    assert load.refusals() <= 2
