"""One deployed stack for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from local.run import Local, deployed


@pytest.fixture(scope="session")
def local() -> Iterator[Local]:
    """The built template, deployed to the emulator with a stand-in for TIMPush."""
    with deployed(print) as stack:
        yield stack
