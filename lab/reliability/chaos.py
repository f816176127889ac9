"""Many users through the real handler in several processes, while everything goes wrong.

    python -m reliability.chaos [--users 100000] [--seed 1]

The stand-in for TIMPush drops calls, hangs, answers 502, garbage or 91000, loses replies, is down
for a while, allows fewer calls for a while; the UserSig expires and a new one is stored later;
workers are killed in mid-batch. SQS (of an emulator) delivers again what is not deleted. Messages
come in five waves, each with a trouble of its own. Exit code 0 only if no message was acknowledged
without cause, none was lost and every user is accounted for.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from local.emulator import aws_environment, emulator
from local.run import depth, error_code, read_dead_letters
from local.stack import client
from reliability.chaos_work import REFUSED_CODE, REFUSED_TAG, Tag, Work, make_work
from reliability.processes import control, end, exit_on_sigterm, serving, start
from support.environment import worker_environment

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

WORKERS = 4
BATCH = 100
VISIBILITY_SECONDS = 26
"""Above the workers' timeout of 25 s: what a killed worker held comes again after it."""
USERSIG_SECONDS = 5
RENEWED_SECONDS = 2.0
"""So long after its expiry is the new UserSig stored."""
TROUBLE_SECONDS = 3.0
OUTAGE_SECONDS = 20.0
SEEN_SECONDS = 6.0
"""So long after the begin of an outage each worker has found TIMPush down: 3 s and some calls."""
RESUME_SECONDS = 35.0
"""The first removal after an outage comes within a slow probe's 30 s and the time of a batch."""
WAVES = 5
WAVE_SECONDS = 3.0
"""The next wave comes after so long, though less than half of the one before may be done."""
FAULT_RATE = 0.12
"""The part of calls that something happens to."""
DRAIN_SECONDS = 300.0
SECRET_ID = "timpush-usersig"
FAULTS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"kind": "drop"}, 4),
    ({"kind": "status", "status": 502}, 4),
    ({"kind": "garbage"}, 3),
    ({"kind": "lost_reply"}, 4),
    ({"kind": "code", "code": 91000, "info": "internal error"}, 4),
    ({"kind": "code", "code": 60011, "info": "too frequent"}, 1),
    ({"kind": "hang", "seconds": 6.0}, 0.5),
)
"""Faults, and how often each is chosen relative to the others."""


@dataclass
class Ledger:
    """What the workers told: receives and deletions by message id, and who holds a batch.

    `throttled` counts requests to DynamoDB that were, by the operation's name.
    """

    receives: Counter[str] = field(default_factory=Counter)
    deleted_at: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    killed_holding: int = 0
    throttled: Counter[str] = field(default_factory=Counter)


class Worker:
    """A worker process, and a thread that reads what it tells."""

    def __init__(self, ledger: Ledger, environment: dict[str, str], *arguments: str) -> None:
        self._ledger = ledger
        self.holding = 0
        self.process = start("reliability.chaos_worker", *arguments, environment=environment)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.endswith("\n"):  # a killed process may leave half a line
                self._note(json.loads(line))

    def _note(self, told: dict[str, Any]) -> None:
        match told["step"]:
            case "begin":
                self.holding = len(told["receives"])
                self._ledger.receives.update(told["receives"].keys())
            case "delete":
                for one in told["ids"]:
                    self._ledger.deleted_at[one].append(told["at"])
            case "throttled":
                self._ledger.throttled[told["operation"]] += 1
            case "end":
                self.holding = 0

    def kill(self) -> int:
        """Kill it at once; how many messages it held."""
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        return self.holding

    def end(self) -> None:
        """End it, if it still runs."""
        self.process.terminate()
        self.process.wait(10)
        self._reader.join(10)
        end(self.process)


@dataclass
class Run:
    """What one chaos run holds. `message_ids` are the ids that SQS gave the bodies.

    `environment` is that of workers that are started from now on.
    """

    work: Work
    rng: random.Random
    timpush: str
    sqs: "SQSClient"
    secrets: Any
    queue_url: str
    dead_letter_queue_url: str
    new_worker: Callable[[], Worker]
    say: Callable[[str], None]
    ledger: Ledger = field(default_factory=Ledger)
    workers: list[Worker] = field(default_factory=list)
    message_ids: dict[int, str] = field(default_factory=dict)
    trouble: str = ""
    outage: tuple[float, float] = (0.0, 0.0)
    injected: int = 0
    began: float = field(default_factory=time.monotonic)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What became of it all; `faults` lists what must not be, in words."""

    rows: list[tuple[str, str]]
    faults: list[str]


def run(users: int, seed: int, say: Callable[[str], None]) -> Verdict:
    """One chaos run, from fresh servers and processes to their end."""
    rng = random.Random(seed)
    with chaos(make_work(users, rng), rng, say, "--batch", str(BATCH)) as this:
        drained = this_drains(this)
        return judge(this, drained)


@contextmanager
def chaos(
    work: Work, rng: random.Random, say: Callable[[str], None], *arguments: str
) -> Iterator[Run]:
    """Servers, queues, and workers with these arguments; all ended at the end."""
    with TemporaryDirectory(prefix="chaos-") as folder, ExitStack() as stack:
        aws = stack.enter_context(emulator())[0]
        timpush = stack.enter_context(serving("timpush_server", "--latency", "0.05"))
        control(timpush, "PUT", "tags", {one: sorted(tags) for one, tags in work.tags.items()})
        control(timpush, "PUT", "settings", {"refused_tags": {REFUSED_TAG: REFUSED_CODE}})
        sqs, secrets = client("sqs", aws), client("secretsmanager", aws)
        queue_url, dead_letter_queue_url = make_queues(sqs)
        environment = aws_environment(aws) | worker_environment(
            TIMPUSH_ENDPOINT_URL=timpush,
            TIMPUSH_SECRET_ID=SECRET_ID,
            TIMPUSH_CALLS_PER_SECOND=100,
            WORKER_CONCURRENCY=WORKERS,
            QUEUE_URL=queue_url,
            DEAD_LETTER_QUEUE_URL=dead_letter_queue_url,
            RETRY_BASE_SECONDS=1,
            RETRY_CAP_SECONDS=3,
            POWERTOOLS_SERVICE_NAME="chaos",
        )
        ledger = Ledger()

        def new_worker() -> Worker:
            log = str(Path(folder) / "workers.log")
            worker = Worker(ledger, environment, *arguments, "--log", log)
            stack.callback(worker.end)
            return worker

        yield Run(
            work, rng, timpush, sqs, secrets, queue_url, dead_letter_queue_url, new_worker, say,
            ledger, environment=environment,
        )  # fmt: skip


def make_queues(sqs: "SQSClient") -> tuple[str, str]:
    """The queue and its dead-letter queue, by URL."""
    dead = sqs.create_queue(QueueName="dead-letter", Attributes={"VisibilityTimeout": "900"})
    arn = sqs.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 400}
    queue = sqs.create_queue(
        QueueName="remove-tags",
        Attributes={
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        },
    )
    return queue["QueueUrl"], dead["QueueUrl"]


# Trouble


def this_drains(this: Run) -> bool:
    """Send the waves with their troubles; True when the queue is empty in time."""
    usersig = control(this.timpush, "POST", "usersig", aged_usersig())
    this.secrets.create_secret(Name=SECRET_ID, SecretString=json.dumps(usersig))
    expires = time.monotonic() + USERSIG_SECONDS + 1
    this.workers.extend(this.new_worker() for _ in range(WORKERS))
    parts = [range(one, len(this.work.bodies), WAVES) for one in range(WAVES)]
    send(this, parts[0])
    kill_one(this)
    watch(this, expires - time.monotonic())
    this.trouble = "UserSig expired"
    send(this, parts[1])
    watch(this, RENEWED_SECONDS)
    renewed = json.dumps(control(this.timpush, "POST", "usersig", {}))
    this.secrets.put_secret_value(SecretId=SECRET_ID, SecretString=renewed)
    this.trouble = ""
    kill_one(this)
    wait_for_half(this)
    this.trouble = "TIMPush down"
    control(this.timpush, "PUT", "standing-fault", {"fault": {"kind": "status", "status": 502}})
    send(this, parts[2])
    began = time.monotonic()
    watch(this, OUTAGE_SECONDS)
    control(this.timpush, "PUT", "standing-fault", {"fault": None})
    this.outage = began, time.monotonic()
    this.trouble = ""
    wait_for_half(this)
    this.trouble = "60 calls/s allowed"
    control(this.timpush, "PUT", "settings", {"calls_per_second": 60})
    send(this, parts[3])
    watch(this, TROUBLE_SECONDS)
    control(this.timpush, "PUT", "settings", {"calls_per_second": 100})
    this.trouble = ""
    wait_for_half(this)
    send(this, parts[4])
    return wait_until_empty(this)


def aged_usersig() -> dict[str, int]:
    """Arguments of a UserSig that was made an hour ago and expires in seconds."""
    return {"time": int(time.time()) - 3_600, "expire": 3_600 + USERSIG_SECONDS}


def send(this: Run, positions: Sequence[int]) -> None:
    """Send the bodies at these positions, ten at a time."""
    for first in range(0, len(positions), 10):
        part = positions[first : first + 10]
        entries: Any = [{"Id": str(one), "MessageBody": this.work.bodies[one]} for one in part]
        reply = this.sqs.send_message_batch(QueueUrl=this.queue_url, Entries=entries)
        ids = {int(row["Id"]): row["MessageId"] for row in reply.get("Successful", [])}
        if len(ids) != len(part):
            raise RuntimeError(f"SQS did not take every message: {reply.get('Failed')}")
        this.message_ids.update(ids)


def kill_one(this: Run) -> None:
    """Kill a worker that holds a batch, in the middle of it, and start another in its place."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        busy = [worker for worker in this.workers if worker.holding]
        if not busy:
            time.sleep(0.01)
            continue
        worker = this.rng.choice(busy)
        time.sleep(this.rng.uniform(0.05, 0.3))
        if not worker.holding:
            continue
        this.workers.remove(worker)
        held = worker.kill()
        this.workers.append(this.new_worker())
        if held:
            this.ledger.killed_holding += 1
            this.say(f"killed worker {worker.process.pid}, which held {held} messages")
            return
    raise RuntimeError("no worker could be killed in mid-batch")


def watch(this: Run, seconds: float, until: Callable[[int], bool] = lambda _: False) -> bool:
    """Inject faults and show progress for so long, or until the queue's size is as wanted."""
    stop, shown = time.monotonic() + seconds, 0.0
    while time.monotonic() < stop:
        inject(this)
        waiting, in_flight = depth(this.sqs, this.queue_url)
        if time.monotonic() >= shown:
            shown = time.monotonic() + 1
            progress(this, waiting, in_flight)
        if until(waiting + in_flight):
            return True
        time.sleep(0.4)
    return until(sum(depth(this.sqs, this.queue_url)))


def inject(this: Run) -> None:
    """Let something happen to some of the next calls, in proportion to the calls made since.

    Never to more: a worker that probes makes one call, and must meet what TIMPush really is.
    """
    calls = control(this.timpush, "GET", "summary")["calls"]
    number = max(0, round(FAULT_RATE * calls) - this.injected)
    for fault in this.rng.choices(*zip(*FAULTS, strict=True), k=number):
        control(this.timpush, "POST", "faults", {"fault": fault})
    this.injected += number


def progress(this: Run, waiting: int, in_flight: int) -> None:
    done, sent = len(this.ledger.deleted_at), len(this.message_ids)
    this.say(
        f"{time.monotonic() - this.began:5.1f} s  messages done {done:>5,} of {sent:>5,} sent"
        f"  waiting {waiting:>5,}  in flight {in_flight:>4,}  {this.trouble}"
    )


def wait_for_half(this: Run) -> None:
    """Until half of what was sent last is done, at most a while."""
    left = len(this.work.bodies) // WAVES // 2
    watch(this, WAVE_SECONDS, lambda size: size <= left)


def wait_until_empty(this: Run) -> bool:
    """Until the queue is empty and no worker holds anything; the last of it without faults."""
    few = max(50, len(this.work.bodies) // 50)
    watch(this, DRAIN_SECONDS, lambda size: size <= few)
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        size = depth(this.sqs, this.queue_url)
        progress(this, *size)
        if not any(size) and not any(worker.holding for worker in this.workers):
            return True
        time.sleep(1)
    return False


# What became of it


def judge(this: Run, drained: bool) -> Verdict:
    """Hold what the workers did against the stand-in's calls and tags and the dead-letter queue."""
    for worker in this.workers:
        worker.end()
    dead_letters = read_dead_letters(this.sqs, this.dead_letter_queue_url)
    received = control(this.timpush, "GET", "received")
    store = {one: set(tags) for one, tags in control(this.timpush, "GET", "tags").items()}
    dead_letter_tags = tags_by_source(dead_letters)
    falsely = falsely_acknowledged(this, first_removals(received, set(store)), dead_letter_tags)
    dead = {source_of(one) for one in dead_letters}
    lost = [
        one
        for one in range(len(this.work.bodies))
        if (message_id := this.message_ids[one]) not in this.ledger.deleted_at
        and message_id not in dead
    ]
    faults = [f"message {one} was acknowledged without cause" for one in falsely]
    faults += [f"message {one} was lost" for one in lost]
    faults += unaccounted(this.work, store, dead_letters) + ill_ridden(this.outage, received)
    if not drained:
        faults.append(f"the queue was not empty after {DRAIN_SECONDS:.0f} s")
    return Verdict(table(this, store, dead_letters, received, len(falsely), len(lost)), faults)


def source_of(message: Any) -> str:
    """The id of the message that a dead letter stems from; its own if SQS moved it there."""
    attributes = message.get("MessageAttributes", {})
    source: str = attributes.get("SourceMessageId", {}).get("StringValue", message["MessageId"])
    return source


def tags_by_source(dead_letters: list[Any]) -> dict[str, set[Tag]]:
    """The dead-lettered tags of each message; a malformed one has none, but its id is there."""
    found: dict[str, set[Tag]] = defaultdict(set)
    for message in dead_letters:
        tags = found[source_of(message)]
        if error_code(message) != "Malformed":
            for user in json.loads(message["Body"])["UserTags"]:
                tags.update((user["To_Account"], tag) for tag in user["Tags"])
    return found


def first_removals(received: list[Any], known: set[str]) -> dict[Tag, float]:
    """When the stand-in first answered that a tag is removed; a reply that was lost says nothing.

    Only accounts that it knows are ever removed from: the others are in the reply's ErrorList.
    """
    found: dict[Tag, float] = {}
    for call in received:
        if call["code"] == 0 and call["path"].endswith("/remove_tag"):
            for account, tags in call["users"]:
                if account in known:
                    for tag in tags:
                        found.setdefault((account, tag), call["at"])
    return found


def falsely_acknowledged(
    this: Run, removed_at: dict[Tag, float], dead_letters: dict[str, set[Tag]]
) -> list[int]:
    """The messages that were deleted before each of their tags was removed or dead-lettered."""
    found = []
    for position, message_id in this.message_ids.items():
        deletions, wanted = this.ledger.deleted_at.get(message_id), this.work.wanted[position]
        if not deletions:
            continue
        left = wanted - dead_letters.get(message_id, set())
        in_vain = any(removed_at.get(tag, float("inf")) > min(deletions) for tag in left)
        if in_vain or (not wanted and message_id not in dead_letters):
            found.append(position)
    return found


def probes_and_resumption(outage: tuple[float, float], received: list[Any]) -> tuple[int, float]:
    """Calls in the outage once it was noticed, and seconds from its end to the next success."""
    began, ended = outage
    probes = sum(began + SEEN_SECONDS < call["at"] < ended for call in received)
    after = [call["at"] - ended for call in received if call["at"] > ended and call["code"] == 0]
    return probes, min(after, default=float("inf"))


def ill_ridden(outage: tuple[float, float], received: list[Any]) -> list[str]:
    """What workers did wrong in the outage, in words: calls that do not probe, or a late return."""
    probes, resumed = probes_and_resumption(outage, received)
    faults = []
    if probes > WORKERS * (OUTAGE_SECONDS - SEEN_SECONDS) / 2:
        faults.append(f"{probes} calls were made while TIMPush was known to be down")
    if resumed > RESUME_SECONDS:
        faults.append(f"the first success came {resumed:.0f} s after the outage")
    return faults


def unaccounted(work: Work, store: dict[str, set[str]], dead_letters: list[Any]) -> list[str]:
    """Users whose tags are not as they must be in the end, and tags with a wrong code."""
    faults = []
    codes: dict[Tag, set[str]] = defaultdict(set)
    for message in dead_letters:
        if error_code(message) != "Malformed":
            for user in json.loads(message["Body"])["UserTags"]:
                for tag in user["Tags"]:
                    codes[user["To_Account"], tag].add(error_code(message))
    expected = {tag: {code} for tag, code in work.dead_letters.items()}
    faults += [
        f"{tag} has {sorted(codes.get(tag, set()))}, not {sorted(expected.get(tag, set()))}"
        for tag in codes.keys() | expected.keys()
        if codes.get(tag, set()) != expected.get(tag, set())
    ]
    wanted = set().union(*work.wanted) - work.dead_letters.keys()
    for account, tags in work.tags.items():
        left = {tag for tag in tags if (account, tag) not in wanted}
        if store.get(account) != left:
            faults.append(f"{account} has {store.get(account)}, not {left}")
    return faults


def table(
    this: Run, store: dict[str, set[str]], dead_letters: list[Any], received: list[Any],
    falsely: int, lost: int,
) -> list[tuple[str, str]]:  # fmt: skip
    """The table's rows."""
    wanted = set().union(*this.work.wanted) - this.work.dead_letters.keys()
    removed = {account for account, tag in wanted if tag not in store.get(account, set())}
    by_code = Counter(error_code(one) for one in dead_letters)
    answers = Counter("none" if one["code"] is None else str(one["code"]) for one in received)
    refused = {code: n for code, n in answers.items() if code not in ("0", "none")}
    faults = Counter(one["fault"] for one in received if one["fault"])
    probes, resumed = probes_and_resumption(this.outage, received)
    again = [count - 1 for count in this.ledger.receives.values()]
    return [
        ("messages", f"{len(this.work.bodies):,}"),
        ("users whose tags were removed", f"{len(removed):,}"),
        *((f"dead letters: {code}", f"{n:,}") for code, n in sorted(by_code.items())),
        ("falsely acknowledged messages", f"{falsely:,}"),
        ("lost messages", f"{lost:,}"),
        ("calls", f"{len(received):,}"),
        *((f"calls refused: {code}", f"{n:,}") for code, n in sorted(refused.items())),
        *((f"calls disturbed: {kind}", f"{n:,}") for kind, n in sorted(faults.items())),
        (f"probes in an outage of {OUTAGE_SECONDS:.0f} s", f"{probes}"),
        ("seconds from its end to the next success", f"{resumed:.1f}"),
        ("workers killed in mid-batch", f"{this.ledger.killed_holding}"),
        ("messages received again, mean", f"{sum(again) / max(1, len(again)):.2f}"),
        ("messages received again, most", f"{max(again, default=0)}"),
        ("seconds", f"{time.monotonic() - this.began:.0f}"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(arguments, __doc__, run, "{:,} users", "every user accounted for")


def command(
    arguments: Sequence[str] | None,
    description: str | None,
    run: Callable[[int, int, Callable[[str], None]], Verdict],
    title: str,
    question: str,
) -> int:
    """A chaos run with its progress and its table; 1 if the verdict names a fault.

    `title` has a place for the number of users, `question` is what the last row answers.
    """
    parser = argparse.ArgumentParser(description=(description or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of all randomness of this command")
    options = parser.parse_args(arguments)
    exit_on_sigterm()
    print(f"{title.format(options.users)}, seed {options.seed}", flush=True)
    verdict = run(options.users, options.seed, lambda text: print(text, flush=True))
    rows = [*verdict.rows, (question, "no" if verdict.faults else "yes")]
    width = max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"{name:<{width}}  {value:>8}" for name, value in rows))
    for fault in verdict.faults[:20]:
        print(f"NOT AS EXPECTED: {fault}", file=sys.stderr)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
