"""A boto3 client of SQS whose dead letters fail to be sent as ordered, by botocore's hooks."""

import json
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Mode = Literal["taken", "partly", "refused", "broken", "unreachable", "lost", "late"]
"""How a SendMessageBatch ends: `partly` takes every other entry; `lost` takes all, and the reply
does not come; `late` takes time up to `deadline` and fails."""

Stored = tuple[str, dict[str, str]]
"""A body and its attributes."""


class DeadLetterFaults:
    """The n-th batch of ten ends as `modes` says, in turn for each attempt; then all are taken.

    `confirmed` are the messages that the client was told the dead-letter queue stored, `rests`
    those that the queue itself did. `struck` says whether any batch did not end well.
    """

    def __init__(self, client: "SQSClient") -> None:
        self.modes: list[Mode] = []
        self.deadline = 0.0
        self.delays_fail = False
        self.confirmed: list[Stored] = []
        self.rests: list[Stored] = []
        self.struck = False
        self._time = VirtualTime()
        self._attempts: Counter[int] = Counter()
        self._lock = Lock()
        events = client.meta.events
        events.register("provide-client-params.sqs.SendMessageBatch", self._choose)
        events.register("before-send.sqs.SendMessageBatch", self._refuse)
        events.register("after-call.sqs.SendMessageBatch", self._confirm)
        events.register("before-send.sqs.ChangeMessageVisibilityBatch", self._refuse_delay)

    def order(
        self, time: VirtualTime, deadline: float, modes: list[Mode], delays_fail: bool
    ) -> None:
        """What is to happen from now on, in this time; forgets what happened."""
        self._time = time
        self.modes, self.deadline, self.delays_fail = modes, deadline, delays_fail
        self.confirmed, self.rests, self.struck = [], [], False
        self._attempts.clear()

    def _choose(self, params: Any, context: dict[str, Any], **_: Any) -> Any:
        entries = params["Entries"]
        with self._lock:
            first = min(int(entry["Id"]) for entry in entries)
            turn = first // 10 + self._attempts[first]
            self._attempts[first] += 1
            mode = self.modes[turn] if turn < len(self.modes) else "taken"
            if mode == "partly" and len(entries) < 2:
                mode = "refused"
            self.struck |= mode != "taken"
        context["mode"] = mode
        dead = params["QueueUrl"].endswith("dead")
        context["stored"] = self.confirmed if dead else self.rests
        kept = entries[::2] if mode == "partly" else entries
        context["kept"] = {entry["Id"]: entry for entry in kept}
        return {**params, "Entries": kept}

    def _refuse(self, request: Any, **_: Any) -> Any:
        mode = request.context["mode"]
        if mode == "refused":
            return _error(400, "com.amazonaws.sqs#InvalidParameterValue")
        if mode == "broken":
            return _error(503, "ServiceUnavailable")
        if mode == "unreachable":
            raise EndpointConnectionError(endpoint_url="http://sqs")
        if mode == "late":
            with self._lock:
                self._time.spend(max(0.0, self.deadline - self._time.clock()))
            raise ReadTimeoutError(endpoint_url="http://sqs")
        return None

    def _confirm(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if context["mode"] == "lost":
            raise ReadTimeoutError(endpoint_url="http://sqs")
        with self._lock:
            for row in parsed.get("Successful", []):
                entry = context["kept"][row["Id"]]
                attributes = entry["MessageAttributes"].items()
                values = {name: value["StringValue"] for name, value in attributes}
                context["stored"].append((entry["MessageBody"], values))

    def _refuse_delay(self, **_: Any) -> Any:
        return _error(503, "ServiceUnavailable") if self.delays_fail else None


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def _error(status: int, code: str) -> AWSResponse:
    body = json.dumps({"__type": code, "message": "ordered"}).encode()
    return AWSResponse("http://sqs", status, HTTPHeaders(), _Raw(body))
