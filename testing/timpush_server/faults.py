"""Faults that a test orders, and the queue that hands them to calls."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["code", "status", "drop", "hang", "garbage", "lost_reply", "body"]


@dataclass(frozen=True)
class Fault:
    """One way for a call to go wrong.

    code: the whole call fails with ErrorCode `code` and ErrorInfo `info`.
    status: HTTP `status` with `body`.
    drop: the connection closes before any byte of a reply; the work is not done.
    hang: `seconds` of silence (cut short when the server stops), then as drop.
    garbage: HTTP 200 with `body`, or with bytes that are no JSON.
    lost_reply: the work is done, then the connection closes without a reply.
    body: HTTP 200 with exactly `body`.

    With `match`, only calls in which some account starts with it are affected.
    """

    kind: Kind
    code: int = 0
    info: str = ""
    status: int = 502
    seconds: float = 0.0
    body: bytes = b""
    match: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind: one of {', '.join(get_args(Kind))}")
        if not 200 <= self.status <= 599:
            raise ValueError("status: 200 to 599")
        if self.seconds < 0:
            raise ValueError("seconds: 0 or more")

    def applies_to(self, accounts: Iterable[str]) -> bool:
        return not self.match or any(account.startswith(self.match) for account in accounts)


class FaultQueue:
    """Queued faults, first in first out, in front of one standing fault. Not thread-safe."""

    def __init__(self) -> None:
        self.standing: Fault | None = None
        self._queued: deque[Fault] = deque()

    def put(self, fault: Fault, times: int) -> None:
        self._queued.extend([fault] * times)

    def take(self, accounts: list[str]) -> Fault | None:
        """Return the fault for a call with these accounts; one that does not match stays."""
        for index, fault in enumerate(self._queued):
            if fault.applies_to(accounts):
                del self._queued[index]
                return fault
        standing = self.standing
        return standing if standing and standing.applies_to(accounts) else None
