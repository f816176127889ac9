"""The built worker under the real Python runtime of Lambda: what SQS would see of each end."""

import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from reliability.runtime import Runtime, emulator, running
from support.clients import secrets_client, sqs_client
from support.environment import worker_environment
from support.rotation import aws_variables
from support.worker import body, sqs_event
from timpush_server import Fault, TimPushServer

WAIT_SECONDS = 30.0
TIMEOUT_SECONDS = 15
"""Of a function that meets it: it may call for 15 - 4 s, and a call has 3.5 s at least."""

if platform.machine() != "x86_64" and not emulator():
    pytest.skip(
        f"the SAM CLI brings no Runtime Interface Emulator for {platform.platform()}",
        allow_module_level=True,
    )

Start = Callable[[int], AbstractContextManager[Runtime]]


@pytest.fixture
def timpush() -> Iterator[TimPushServer]:
    with TimPushServer() as server:
        yield server


@pytest.fixture
def start(aws_url: str, timpush: TimPushServer, tmp_path: Path) -> Start:
    """Starts the built worker with a timeout in seconds."""
    assert emulator(), "no Runtime Interface Emulator in .tools/sam: run make setup"
    name = uuid.uuid4().hex
    sqs = sqs_client(aws_url)
    secrets_client(aws_url).create_secret(Name=name, SecretString=timpush.secret())
    variables = aws_variables(aws_url) | worker_environment(
        TIMPUSH_ENDPOINT_URL=timpush.url,
        TIMPUSH_SECRET_ID=name,
        QUEUE_URL=sqs.create_queue(QueueName=name)["QueueUrl"],
        DEAD_LETTER_QUEUE_URL=sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"],
        POWERTOOLS_SERVICE_NAME="runtime",
    )
    return lambda timeout: running("RemoveTagsWorker", variables, timeout, tmp_path / "log")


def batch(timpush: TimPushServer, messages: int, users: int = 100) -> dict[str, Any]:
    """An event whose users are all known to TIMPush, with the tag that they shall lose."""
    bodies = []
    for message in range(messages):
        tags = {f"user-{message}-{number}": ["gold"] for number in range(users)}
        timpush.tags.update({account: {"gold", "kept"} for account in tags})
        bodies.append(body(tags))
    return sqs_event(bodies)


def with_tag(timpush: TimPushServer) -> set[str]:
    """The messages of `batch` of whose users some still have the tag."""
    return {f"m{who.split('-')[1]}" for who, tags in timpush.tags.items() if "gold" in tags}


def in_mid_batch(timpush: TimPushServer, calls: int, act: Callable[[], None]) -> threading.Thread:
    """Act once so many more calls have arrived; the batch must not be over by then."""
    calls += len(timpush.received)

    def wait() -> None:
        until = time.monotonic() + WAIT_SECONDS
        while len(timpush.received) < calls and time.monotonic() < until:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_batch_is_removed_and_nothing_stays_on_the_queue(
    timpush: TimPushServer, start: Start
) -> None:
    event = batch(timpush, messages=12)
    with start(60) as runtime:
        stays, reply = runtime.stays(event)
    assert reply == {"batchItemFailures": []}
    assert stays == with_tag(timpush) == set()
    assert set(map(frozenset, timpush.tags.values())) == {frozenset({"kept"})}
    assert len(timpush.received) == 12


def test_an_environment_is_used_for_one_batch_after_the_other(
    timpush: TimPushServer, start: Start
) -> None:
    with start(60) as runtime:
        runtime.stays(batch(timpush, messages=1))
        before = runtime.pids()
        stays, _ = runtime.stays(batch(timpush, messages=3))
        assert runtime.pids() == before
    assert stays == with_tag(timpush) == set()


def test_replies_that_never_come_end_before_the_timeout_and_only_they_stay(
    timpush: TimPushServer, start: Start
) -> None:
    with start(TIMEOUT_SECONDS) as runtime:
        runtime.stays(batch(timpush, messages=1))  # its start counts towards the timeout
        event = batch(timpush, messages=40)
        timpush.inject(Fault("hang", seconds=60.0, match="user-7-"), times=9)
        stays, reply = runtime.stays(event)
    assert isinstance(reply, dict), reply
    assert stays == with_tag(timpush) == {"m7"}
    assert {row["itemIdentifier"] for row in reply["batchItemFailures"]} == stays


def test_a_function_that_does_not_answer_by_its_timeout_keeps_every_message(
    timpush: TimPushServer, start: Start
) -> None:
    with start(TIMEOUT_SECONDS) as runtime:
        runtime.stays(batch(timpush, messages=1))  # its start counts towards the timeout
        event = batch(timpush, messages=40)

        def stop() -> None:
            for pid in runtime.pids():
                os.kill(pid, signal.SIGSTOP)

        stopped = in_mid_batch(timpush, 5, stop)
        stays, reply = runtime.stays(event)
        stopped.join()
        assert reply == "Task timed out after 15.00 seconds"
        assert stays == {one["messageId"] for one in event["Records"]}
        assert with_tag(timpush)
        assert runtime.stays(event) == (set(), {"batchItemFailures": []})
    assert with_tag(timpush) == set()


def test_a_crash_in_mid_batch_keeps_every_message_and_the_next_environment_removes_them(
    timpush: TimPushServer, start: Start
) -> None:
    event = batch(timpush, messages=40)
    with start(60) as runtime:

        def crash() -> None:
            for pid in runtime.pids():
                os.kill(pid, signal.SIGKILL)

        crashed = in_mid_batch(timpush, 5, crash)
        stays, reply = runtime.stays(event)
        crashed.join()
        assert reply["errorType"] == "Runtime.ExitError"
        assert stays == {one["messageId"] for one in event["Records"]}
        assert with_tag(timpush)
        assert runtime.stays(event) == (set(), {"batchItemFailures": []})
    assert with_tag(timpush) == set()


def test_settings_that_are_missing_keep_every_message(
    timpush: TimPushServer, start: Start, aws_url: str, tmp_path: Path
) -> None:
    del start
    event = batch(timpush, messages=2)
    with running("RemoveTagsWorker", aws_variables(aws_url), 30, tmp_path / "log") as runtime:
        stays, reply = runtime.stays(event)
    assert reply["errorType"] == "SettingsError"
    assert "QUEUE_URL" in reply["errorMessage"]
    assert stays == {"m0", "m1"}
