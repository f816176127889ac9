"""Upgrades a stack of version 0.1.0 that has work in its queue, on the emulator.

    python -m local.upgrade

Builds 0.1.0 out of the git history and deploys it; sends messages, of which one part is removed
before the upgrade, one waits in the queue and one comes afterwards. Then this version is deployed
over it, with the parameters that the stack has. Exit code 0 only if every user lost the tag and
queues, secret and mapping are the same as before.
"""

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.emulator import ROOT, emulator
from local.rotation import rotate, store_key
from local.stack import BUILT, UNKNOWN_TO_EMULATOR, build, client, deploy
from timpush_server import TimPushServer

RELEASE = "b73c0b960003638f96c2a0e952c00d16de31b04e"
"""Version 0.1.0."""
GROUP = 100
"""Users of each part, one a message."""
WAIT_SECONDS = 60.0
KEPT = ("QueueUrl", "DeadLetterQueueUrl", "SecretArn", "WorkerFunctionName", "WorkerMappingId")
"""Outputs that an upgrade must not change."""


@contextmanager
def release() -> Iterator[Path]:
    """The built template of 0.1.0, in a folder of its own.

    Raises:
        RuntimeError: the history of this clone does not reach back to it.
    """
    found = subprocess.run(
        ["git", "archive", RELEASE], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    if found.returncode:
        raise RuntimeError(f"this clone has no commit {RELEASE[:7]}: git fetch --unshallow")
    with TemporaryDirectory() as name, tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(name, filter="data")
        yield build(Path(name))


class Senders:
    """What back ends do meanwhile: they know the queue's URL and nothing of versions."""

    def __init__(self, timpush: TimPushServer, sqs: Any, queue_url: str) -> None:
        self.timpush, self.sqs, self.queue_url = timpush, sqs, queue_url
        self.users: list[str] = []

    def send(self) -> None:
        """Send a message for each of another group of users, who have two tags."""
        for number in range(len(self.users), len(self.users) + GROUP):
            user = f"user-{number}"
            self.users.append(user)
            self.timpush.tags[user] = {"gold", "kept"}
            body = json.dumps({"UserTags": [{"To_Account": user, "Tags": ["gold"]}]})
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def removed(self) -> int:
        """How many users have lost the tag, and nothing else."""
        return sum(self.timpush.tags[user] == {"kept"} for user in self.users)

    def wait(self) -> bool:
        """Wait until all have; False when time is up."""
        until = time.monotonic() + WAIT_SECONDS
        while self.removed() < len(self.users) and time.monotonic() < until:
            time.sleep(0.2)
        return self.removed() == len(self.users)


def upgrade(timpush: TimPushServer, endpoint_url: str, old: Path) -> Iterator[str]:
    """Deploy, send, upgrade, send; yields what is wrong."""
    services = ("secretsmanager", "lambda", "sqs")
    secrets, functions, sqs = (client(one, endpoint_url) for one in services)
    parameters = {
        "EndpointUrl": timpush.url,
        "SigningKeySecretArn": store_key(secrets, timpush),
        "RotationSchedule": "",  # the emulator knows none
    }
    before = deploy(endpoint_url, parameters, old)
    rotate(secrets, functions, before["SecretArn"], before["RotationFunctionName"])
    senders = Senders(timpush, sqs, before["QueueUrl"])
    senders.send()
    if not senders.wait():
        yield f"version 0.1.0 removed the tag of {senders.removed()} users"
    mapping: Any = {"UUID": before["WorkerMappingId"]}
    functions.update_event_source_mapping(**mapping, Enabled=False)
    senders.send()
    after = deploy(endpoint_url, UNKNOWN_TO_EMULATOR, BUILT)
    functions.update_event_source_mapping(**mapping, Enabled=True)
    senders.send()
    if not senders.wait():
        yield f"{senders.removed()} of {len(senders.users)} users lost the tag"
    print(f"{senders.removed()} of {len(senders.users)} users lost the tag and nothing else:")
    print(f"{GROUP} before the upgrade, {GROUP} who waited in the queue, {GROUP} after it")
    for name in KEPT:
        print(f"{'same' if after[name] == before[name] else 'OTHER'}  {name}")
        if after[name] != before[name]:
            yield f"{name} was {before[name]} and is {after[name]}"


def main() -> int:
    """The command; returns its exit code."""
    with release() as old, TimPushServer() as timpush, emulator() as (endpoint_url, _):
        faults = list(upgrade(timpush, endpoint_url, old))
    for fault in faults:
        print(f"wrong: {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
