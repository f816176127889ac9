"""A job of many users from its file to its report, while everything goes wrong.

    python -m reliability.chaos_job [--users 100000] [--seed 1]

The job's steps, called as the state machine calls them, and the real handler in several processes.
The file has faulty rows, unknown users and tags that TIMPush refuses; TIMPush fails as in
`reliability.chaos` and is down for a while; workers are killed in mid-batch; each message is
delivered at least twice, in different batches; DynamoDB throttles a part of all requests, of
steps and of workers. Exit code 0 only if the report is exact to the user and TIMPush's store is
what it says.
"""

import csv
import hashlib
import io
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from unittest.mock import patch

from jobs.check import check
from jobs.decide import decide
from jobs.finish import finish, logger
from jobs.job import Clients
from jobs.plan import plan
from jobs.report import report
from jobs.send import send_range
from jobs.settle import settle
from local.run import depth
from reliability.chaos import SECRET_ID, WORKERS, Run, Verdict, chaos, command, inject, kill_one
from reliability.chaos_job_file import JobFile, NotRemoved, make_file
from reliability.chaos_work import REFUSED_TAG, Work
from reliability.processes import control
from reliability.throttling import throttle
from support.job_store import JobStore, job_store
from timpush.jobs import ranges
from timpush.jobs.state import new_job_id, upload_key
from timpush.jobs.table import read_figures, read_job

DELIVERIES = 2
THROTTLED = 0.3
"""The part of the requests to DynamoDB that are throttled; clients try again once or thrice."""
KILLS = 4
PAUSE_SECONDS = 3.0
"""Between two troubles."""
OUTAGE_SECONDS = 10.0
RANGES = 5
ATTEMPTS = 7
"""Of a step: the first, and the six retries of the state machine."""
RETRY_SECONDS = 0.2
SETTLE_SECONDS = 0.5
"""Between two looks at the job, which waits for 2 s and more on AWS."""
JOB_SECONDS = 400.0
DRAIN_SECONDS = 90.0

T = TypeVar("T")


@dataclass
class JobRun:
    """A job in a chaos run. `steps_failed` counts attempts of steps that ended with an error."""

    this: Run
    file: JobFile
    store: JobStore
    aws: Clients
    job_id: str = field(default_factory=new_job_id)
    steps_failed: int = 0
    throttled: Counter[str] = field(default_factory=Counter)

    def step(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call a step, and again if it fails, as the state machine does.

        Raises:
            Exception: that of the last attempt.
        """
        for attempt in range(ATTEMPTS):
            try:
                return call(*arguments)
            except Exception:
                self.steps_failed += 1
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(RETRY_SECONDS)
        raise AssertionError

    def read(self, name: str) -> bytes:
        """A file of the report."""
        key = f"reports/{self.job_id}/{name}"
        return self.store.s3.get_object(Bucket=self.store.bucket, Key=key)["Body"].read()

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a list of the report."""
        return list(csv.DictReader(io.StringIO(self.read(name).decode(), newline="")))


def run(users: int, seed: int, say: Callable[[str], None]) -> Verdict:
    """One run, from fresh servers and processes to their end."""
    rng = random.Random(seed)
    file = make_file(users, rng)
    batch = max(2, min(100, users // 1_000))
    arguments = ("--batch", batch, "--deliveries", DELIVERIES, "--throttled", THROTTLED)
    with (
        chaos(Work(tags=file.tags), rng, say, *map(str, arguments)) as this,
        stored(this, file) as job,
        ThreadPoolExecutor(1) as executor,
    ):
        range_bytes = -(-len(file.text) // RANGES)
        with patch.object(ranges, "RANGE_BYTES", range_bytes):
            future = executor.submit(run_job, job)
            make_trouble(job, future)
            future.result()
        drained = drain(job)
        return judge(job, drained)


@contextmanager
def stored(this: Run, file: JobFile) -> Iterator[JobRun]:
    """The file in a bucket, an empty table, a good UserSig, and the workers."""
    with patch.dict(os.environ, this.environment), job_store() as store:
        variables = {"JOBS_TABLE": store.table.name, "JOB_RETENTION_DAYS": "30"}
        os.environ.update(variables, POWERTOOLS_METRICS_DISABLED="true")
        logger.setLevel("ERROR")  # the steps' shared one
        this.environment.update(variables)
        usersig = json.dumps(control(this.timpush, "POST", "usersig", {}))
        this.secrets.create_secret(Name=SECRET_ID, SecretString=usersig)
        job = JobRun(this, file, store, Clients())
        throttle(THROTTLED, lambda operation: job.throttled.update([operation]), seed=1)
        store.s3.put_object(
            Bucket=store.bucket,
            Key=upload_key(job.job_id, "users.csv"),
            Body=file.text,
            Metadata={"on-fault": "skip", "requested-by": "chaos"},
        )
        this.workers.extend(this.new_worker() for _ in range(WORKERS))
        yield job


def run_job(job: JobRun) -> None:
    """The steps in the order of the state machine, each repeated when it fails."""
    place = {"Bucket": job.store.bucket, "Key": upload_key(job.job_id, "users.csv")}
    event: dict[str, Any] = {"JobId": job.job_id, "VersionId": "", **place}
    planned = job.step(plan, event, job.aws, datetime.now(UTC))
    events = [{"JobId": job.job_id, "Range": number} for number in planned["Ranges"]]
    for one in events:
        job.step(check, one, job.aws)
    if job.step(decide, {"JobId": job.job_id}, job.aws)["Next"] != "send":
        raise RuntimeError("the job is not sent")
    with ThreadPoolExecutor(RANGES) as executor:
        list(executor.map(lambda one: job.step(send, one, job.aws), events))
    until = time.monotonic() + JOB_SECONDS
    while not job.step(settle, event, job.aws, int(time.time()))["Settled"]:
        if time.monotonic() > until:
            raise RuntimeError(f"the job was not settled after {JOB_SECONDS:.0f} s")
        time.sleep(SETTLE_SECONDS)
    for one in events:
        job.step(report, one, job.aws)
    job.step(finish, job.job_id, job.aws, datetime.now(UTC))


def send(event: dict[str, Any], aws: Clients) -> int:
    """Send a range, within the time that its function has."""
    return send_range(event, aws, time.monotonic() + 600)


# Trouble


def make_trouble(job: JobRun, future: "Future[None]") -> None:
    """Kill workers, and let TIMPush be down for a while, until the job is done."""
    control(job.this.timpush, "PUT", "settings", {"refused_tags": {REFUSED_TAG: 90034}})
    for number in range(KILLS):
        kill_when_busy(job, future)
        pause(job, future, PAUSE_SECONDS)
        if number == 0 and not future.done():
            down = {"kind": "status", "status": 502}
            job.this.trouble = "TIMPush down"
            control(job.this.timpush, "PUT", "standing-fault", {"fault": down})
            pause(job, future, OUTAGE_SECONDS)
            control(job.this.timpush, "PUT", "standing-fault", {"fault": None})
            job.this.trouble = ""
    pause(job, future, JOB_SECONDS)


def kill_when_busy(job: JobRun, future: "Future[None]") -> None:
    """Kill a worker that holds a batch, unless the job is done first."""
    while not future.done() and not any(worker.holding for worker in job.this.workers):
        pause(job, future, 0.05)
    if not future.done():
        kill_one(job.this)


def pause(job: JobRun, future: "Future[None]", seconds: float) -> None:
    """Inject faults and show progress for so long, or until the job is done."""
    stop, shown = time.monotonic() + seconds, time.monotonic() + 1
    while not future.done() and time.monotonic() < stop:
        inject(job.this)
        if time.monotonic() >= shown:
            shown = time.monotonic() + 2
            progress(job)
        time.sleep(min(0.4, seconds))


def progress(job: JobRun) -> None:
    """A line about the job, as a person who follows it sees it."""
    document = job.step(read_job, job.aws.table, job.job_id)
    if document:
        waiting, in_flight = depth(job.this.sqs, job.this.queue_url)
        job.this.say(
            f"{time.monotonic() - job.this.began:5.1f} s  {document['State']:<8}"
            f"  settled {document['Settled']:>7,} of {document['Users']:>7,} users"
            f"  messages waiting {waiting:>5,}  in flight {in_flight:>4,}  {job.this.trouble}"
        )


def drain(job: JobRun) -> bool:
    """Wait until the messages that come again are settled too; True if they are in time."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        busy = any(worker.holding for worker in job.this.workers)
        if not busy and not any(depth(job.this.sqs, job.this.queue_url)):
            return True
        time.sleep(0.5)
    return False


# What became of it


def judge(job: JobRun, drained: bool) -> Verdict:
    """Hold the report against the file, and TIMPush's store against both."""
    document = json.loads(job.read("report.json"))
    store = {one: set(tags) for one, tags in control(job.this.timpush, "GET", "tags").items()}
    receives = job.this.ledger.receives
    late = job.step(read_figures, job.aws.table, job.job_id)._asdict()
    faults = wrong_figures(job.file, document)
    faults += wrong_lists(job.file, job.rows("not-removed.csv"), job.rows("faults.csv"))
    faults += wrong_store(job.file, store)
    faults += [
        f"{name} is {value} after the last delivery, was {document[name]}"
        for name, value in late.items()
        if value != document[name]
    ]
    if not drained:
        faults.append(f"the queue was not empty after {DRAIN_SECONDS:.0f} s")
    once = sum(count < DELIVERIES for count in receives.values())
    if once:
        faults.append(f"{once} messages were delivered once only")
    return Verdict(table(job, document), faults)


def wrong_figures(file: JobFile, document: dict[str, Any]) -> list[str]:
    """Fields of report.json that are not what the file makes them, in words."""
    expected = {
        "State": "done",
        "Rows": file.users + len(file.faulty),
        "FaultyRows": len(file.faulty),
        "Users": file.users,
        "Removed": file.users - file.users_not_removed,
        "NotRemoved": file.users_not_removed,
        "Settled": file.users,
        "Sha256": hashlib.sha256(file.text).hexdigest(),
    }
    return [
        f"{name} is {document[name]}, not {value}"
        for name, value in expected.items()
        if document[name] != value
    ]


def wrong_lists(
    file: JobFile, not_removed: list[dict[str, str]], faulty: list[dict[str, str]]
) -> list[str]:
    """Rows of the report's lists that are missing, that should not be there, or lack a reason."""
    found = Counter(
        NotRemoved(row["To_Account"], row["Tag"], row["ErrorCode"], int(row["Line"]))
        for row in not_removed
    )
    faults = [f"{row} is missing" for row in (file.not_removed - found).elements()]
    faults += [f"{row} should not be there" for row in (found - file.not_removed).elements()]
    lines = Counter(int(row["Line"]) for row in faulty)
    faults += [
        f"line {line} is {lines[line]} times in faults.csv"
        for line in lines.keys() | file.faulty
        if lines[line] != (line in file.faulty)
    ]
    faults += [f"{row} has no reason" for row in not_removed if not row["Reason"]]
    return faults + [f"{row} has no rule" for row in faulty if not row["Rule"]]


def wrong_store(file: JobFile, store: dict[str, set[str]]) -> list[str]:
    """Users whose tags are not as they must be in the end."""
    return [
        f"{account} has {sorted(store.get(account, set()))}, not {sorted(left)}"
        for account, left in file.left.items()
        if store.get(account) != left
    ]


def table(job: JobRun, document: dict[str, Any]) -> list[tuple[str, str]]:
    """The table's rows."""
    by_code = Counter(row["ErrorCode"] for row in job.rows("not-removed.csv"))
    received = control(job.this.timpush, "GET", "received")
    again = sum(count - 1 for count in job.this.ledger.receives.values())
    throttled = job.throttled + job.this.ledger.throttled
    reads = sum(throttled[name] for name in ("GetItem", "Query"))
    return [
        ("rows", f"{document['Rows']:,}"),
        ("faulty rows", f"{document['FaultyRows']:,}"),
        ("users", f"{document['Users']:,}"),
        ("removed", f"{document['Removed']:,}"),
        ("not removed", f"{document['NotRemoved']:,}"),
        *((f"not removed: {code}", f"{n:,}") for code, n in sorted(by_code.items())),
        ("byte ranges", f"{RANGES}"),
        ("calls", f"{len(received):,}"),
        ("calls disturbed", f"{sum(bool(one['fault']) for one in received):,}"),
        ("workers killed in mid-batch", f"{job.this.ledger.killed_holding}"),
        ("messages", f"{len(job.this.ledger.receives):,}"),
        ("messages delivered again", f"{again:,}"),
        ("writes throttled", f"{throttled.total() - reads:,}"),
        ("reads throttled", f"{reads:,}"),
        ("steps that failed and were repeated", f"{job.steps_failed}"),
        ("seconds", f"{time.monotonic() - job.this.began:.0f}"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(arguments, __doc__, run, "a job of {:,} users", "report exact")


if __name__ == "__main__":
    sys.exit(main())
