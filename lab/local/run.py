"""Deploys the real template to an emulator on this machine and removes thousands of users' tags.

    python -m local.run          send messages, requests and a file, account for each user
    python -m local.run --stay   send nothing and stay up, with the commands to try

Exit code 0 only when every user is accounted for in the stand-in's own store of tags.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import stay
from local.emulator import emulator
from local.job import run_job
from local.request_cases import LATER, send_requests
from local.rotation import rotate, store_key
from local.screen import bar, line, status
from local.stack import UNKNOWN_TO_EMULATOR, client, deploy
from local.summary import summarize
from local.workload import POISON_CODE, POISON_TAG, Workload, make_workload
from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

USERS = 5_000
DRAIN_SECONDS = 240.0


@dataclass(frozen=True)
class Local:
    """The deployed application: its outputs, the stand-in, and how to reach the emulator."""

    endpoint_url: str
    log: Path
    outputs: dict[str, str]
    timpush: TimPushServer

    def client(self, service: Any) -> Any:
        """A boto3 client of the emulator."""
        return client(service, self.endpoint_url)


@contextmanager
def deployed(say: Callable[[str], None]) -> Iterator[Local]:
    """The application, deployed and with a UserSig, until the block ends."""
    with TimPushServer() as timpush:
        say(f"stand-in for TIMPush: {timpush.url}")
        with emulator() as (endpoint_url, log):
            say(f"AWS emulator:         {endpoint_url}")
            say("deploying the template with sam deploy")
            secrets = client("secretsmanager", endpoint_url)
            parameters = {
                "EndpointUrl": timpush.url,
                "SigningKeySecretArn": store_key(secrets, timpush),
                "RotationSchedule": "",  # the emulator knows none
            }
            outputs = deploy(endpoint_url, parameters | UNKNOWN_TO_EMULATOR)
            functions = client("lambda", endpoint_url)
            rotate(secrets, functions, outputs["SecretArn"], outputs["RotationFunctionName"])
            say("deployed; the rotation signed a UserSig, tested it and made it current")
            yield Local(endpoint_url, log, outputs, timpush)


def run(local: Local, work: Workload, say: Callable[[str], None]) -> bool:
    """Send the messages, then requests and a job's file; print the summary; True: all is well."""
    local.timpush.tags.update({account: set(tags) for account, tags in work.tags.items()})
    local.timpush.refused_tags[POISON_TAG] = POISON_CODE
    sqs = local.client("sqs")
    started = time.monotonic()
    send(sqs, local.outputs["QueueUrl"], work.bodies)
    say(f"sent {len(work.bodies):,} messages")
    drained = drain(sqs, local, work, status)
    seconds = time.monotonic() - started
    faults = check(local, work, read_dead_letters(sqs, local.outputs["DeadLetterQueueUrl"]))
    if not drained:
        faults.append(f"the queue was not empty after {DRAIN_SECONDS:.0f} s")
    calls = len(local.timpush.received)
    say(f"the queue is empty after {seconds:.1f} s and {calls:,} calls to TIMPush")
    faults.extend(request(local, say))
    job = run_job(local, work.load_users)
    faults.extend(job.faults)
    summarize(work, calls, seconds, job, faults)
    if faults:
        show_log(local)
    return not faults


def request(local: Local, say: Callable[[str], None]) -> list[str]:
    """Send requests to the endpoint; what is not as it must be."""
    api_id, sqs = local.outputs["ApiId"], local.client("sqs")
    faults = list(send_requests(local.endpoint_url, api_id, local.timpush, say))
    later = Workload(removed={LATER["To_Account"]: set(LATER["Tags"])})
    if not drain(sqs, local, later, status) or local.timpush.tags[LATER["To_Account"]] != {"kept"}:
        faults.append("the queued request left the tag")
    return faults


def send(sqs: "SQSClient", queue_url: str, bodies: list[str]) -> None:
    """Send message bodies, ten at a time.

    Raises:
        RuntimeError: SQS did not take one.
    """
    for first in range(0, len(bodies), 10):
        entries: Any = [
            {"Id": str(index), "MessageBody": text}
            for index, text in enumerate(bodies[first : first + 10])
        ]
        reply = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        if len(reply.get("Successful", [])) != len(entries):
            raise RuntimeError(f"SQS did not take every message: {reply.get('Failed')}")


def drain(sqs: "SQSClient", local: Local, work: Workload, say: Callable[[str], None]) -> bool:
    """Wait until the queue holds nothing, showing progress; False when time is up."""
    until = time.monotonic() + DRAIN_SECONDS
    wanted = sum(map(len, work.removed.values()))
    shown = -1
    while time.monotonic() < until:
        waiting, in_flight = depth(sqs, local.outputs["QueueUrl"])
        left = sum(len(local.timpush.tags[who] & tags) for who, tags in work.removed.items())
        if wanted - left != shown:
            shown = wanted - left
            say(
                f"{bar(shown, wanted)} {shown:,} of {wanted:,} tags removed; "
                f"messages: {waiting} waiting, {in_flight} in progress"
            )
        if waiting == in_flight == 0:
            return True
        time.sleep(0.5)
    return False


def depth(sqs: "SQSClient", queue_url: str) -> tuple[int, int]:
    """How many messages wait, and how many a worker holds."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def read_dead_letters(sqs: "SQSClient", queue_url: str) -> list[Any]:
    """Every message of the dead-letter queue."""
    messages: list[Any] = []
    while True:
        reply = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        if not reply.get("Messages"):
            return messages
        messages.extend(reply["Messages"])
        for message in reply["Messages"]:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def check(local: Local, work: Workload, dead_letters: list[Any]) -> list[str]:
    """Hold the stand-in's tags and the dead-letter queue against what was asked for."""
    faults = [
        f"{account}: has {sorted(local.timpush.tags[account])}, should have {sorted(left)}"
        for account, tags in work.tags.items()
        if local.timpush.tags[account] != (left := tags - work.removed[account])
    ]
    malformed = [one["Body"] for one in dead_letters if error_code(one) == "Malformed"]
    if sorted(malformed) != sorted(work.malformed):
        faults.append(f"{len(malformed)} malformed dead letters, not {len(work.malformed)}")
    found = dead_letter_tags(dead_letters)
    faults += [
        f"{row} dead-lettered {found[row]} times, not {work.dead_letters[row]}"
        for row in found | work.dead_letters
        if found[row] != work.dead_letters[row]
    ]
    return faults


def dead_letter_tags(dead_letters: list[Any]) -> Counter[tuple[str, str, str]]:
    """(account, tag, code) of each dead letter, counted."""
    return Counter(
        (user["To_Account"], tag, error_code(message))
        for message in dead_letters
        if error_code(message) != "Malformed"
        for user in json.loads(message["Body"])["UserTags"]
        for tag in user["Tags"]
    )


def error_code(message: Any) -> str:
    """The ErrorCode attribute of a dead letter."""
    return str(message["MessageAttributes"]["ErrorCode"]["StringValue"])


def show_log(local: Local) -> None:
    """Print the end of the emulator's log, to help find what went wrong."""
    lines = local.log.read_text(errors="replace").splitlines()
    print("The end of the emulator's log:", *lines[-30:], sep="\n", file=sys.stderr)


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--stay", action="store_true", help="send nothing; stay up until Ctrl-C")
    parser.add_argument(
        "--users",
        type=int,
        help=f"how many (default {USERS:,}); with --stay: that have tags (default {stay.USERS})",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with deployed(line) as local:
            if arguments.stay:
                stay.stay(local, arguments.users or stay.USERS)
                return 0
            return 0 if run(local, make_workload(arguments.users or USERS), line) else 1
    except KeyboardInterrupt:
        line("stopped; nothing is left running")
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
