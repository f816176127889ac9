"""One deployed stack for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from local.run import Local, deployed, read_dead_letters


@pytest.fixture(scope="session")
def stack() -> Iterator[Local]:
    """The built template, deployed to the emulator with a stand-in for TIMPush."""
    with deployed(print) as made:
        yield made


@pytest.fixture
def local(stack: Local) -> Local:
    """The stack, without what an earlier test left on the dead-letter queue."""
    read_dead_letters(stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"])
    return stack
