"""How much of the budget a full queue uses, and whether calls ever start faster than allowed.

    python -m reliability.budget [--budget 100 ...] [--latency 0.1 ...] [--cpu 0.29] [--jobs]

For each budget (calls a second of all workers) and latency (seconds TIMPush takes), as many
processes as the concurrency run the real handler, batch after batch of messages of 100 users,
against a stand-in for TIMPush that allows 100 calls a second. A measurement lasts a quarter of a
batch: the batches of the processes end at different times, so one of them ends within it. Exit
code 0 only if starts never exceed the budget in any second and no user was acknowledged in vain.
With `--cpu` (root on Linux only) each process gets that part of a processor, as on Lambda. With
`--jobs` each case is measured again with the messages of a job, whose ends the workers record in an
emulated table; then, in every case, all acknowledged messages must be recorded.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.emulator import aws_environment, emulator
from local.stack import client
from reliability.budget_worker import LAST_CALL_SECONDS, USERS, account
from reliability.cpu_share import limited
from reliability.processes import control, end, exit_on_sigterm, read_line, serving, start
from support.environment import worker_environment
from support.job_store import JobStore, sent_job
from timpush.jobs.table import read_records

BUDGETS = (100, 96, 90, 80, 60)
LATENCIES = (0.1, 0.3)
MESSAGES = 1_000
WARM_UP_SECONDS = 1.5
"""A fresh environment's first call is alone until its reply; it happens once in a long time."""
SECRET_ID = "timpush-usersig"
JOB_ID = "20261125T080000Z-0123abcd"


@dataclass(frozen=True)
class Case:
    """One line of the table. `latency` and `seconds`, what is measured, are in seconds.

    `cpu` is the part of a processor that each process gets; None: as much as there is. `of_job`
    says that the messages are a job's.
    """

    budget: int
    latency: float
    concurrency: int = 4
    messages: int = MESSAGES
    seconds: float | None = None
    cpu: float | None = None
    of_job: bool = False

    @property
    def measured_seconds(self) -> float:
        calls_a_second = self.budget // self.concurrency
        return self.seconds or self.messages / calls_a_second / self.concurrency


@dataclass(frozen=True)
class Result:
    """What was measured. `in_vain` counts users acknowledged whose tag is still there.

    `unrecorded` counts acknowledged messages of a job without a record.
    """

    case: Case
    calls_a_second: float
    users_a_second: float
    most_starts: int
    most_arrivals: int
    refused: int
    acknowledged: int
    in_vain: int
    unrecorded: int = 0

    @property
    def held(self) -> bool:
        wrong = self.in_vain or self.unrecorded
        return self.most_starts <= self.case.budget and not wrong


def measure(case: Case) -> Result:
    """Run one case, from fresh processes to their end."""
    with ExitStack() as stack:
        aws = stack.enter_context(emulator())[0]
        timpush = stack.enter_context(serving("timpush_server", "--latency", str(case.latency)))
        control(timpush, "PUT", "tags", known_users(case))
        secrets = client("secretsmanager", aws)
        signed = json.dumps(control(timpush, "POST", "usersig", {}))
        secrets.create_secret(Name=SECRET_ID, SecretString=signed)
        job = stack.enter_context(sent_job(aws_environment(aws), JOB_ID)) if case.of_job else None
        workers = stack.enter_context(processes(case, aws, timpush, job))
        if case.cpu:
            for worker in workers:
                stack.enter_context(limited(worker.pid, case.cpu))
        begin = time.monotonic() + 0.2
        first, last = begin + WARM_UP_SECONDS, begin + WARM_UP_SECONDS + case.measured_seconds
        for worker in workers:
            assert worker.stdin
            print(json.dumps([begin, last]), file=worker.stdin, flush=True)
        wait = last - time.monotonic() + LAST_CALL_SECONDS + 60
        reports = [json.loads(read_line(worker, wait)) for worker in workers]
        received = control(timpush, "GET", "received")
        tags = control(timpush, "GET", "tags")
        recorded = read_records(job.table, JOB_ID).done if job else set()
    starts = sorted(one for report in reports for one in report["starts"])
    done = [call for call in received if call["code"] == 0 and first <= call["at"] < last]
    acknowledged = {
        account(worker, message, user)
        for worker, report in enumerate(reports)
        for message in report["acknowledged"]
        for user in range(USERS)
    }
    return Result(
        case,
        calls_a_second=len(done) / (last - first),
        users_a_second=sum(len(call["users"]) for call in done) / (last - first),
        most_starts=most_in_a_second(starts),
        most_arrivals=most_in_a_second([call["at"] for call in received]),
        refused=sum(call["code"] not in (0, None) for call in received),
        acknowledged=len(acknowledged),
        in_vain=sum(bool(tags[one]) for one in acknowledged),
        unrecorded=sum(
            (worker, message) not in recorded
            for worker, report in enumerate(reports)
            for message in set(report["acknowledged"])
        )
        if job
        else 0,
    )


def known_users(case: Case) -> dict[str, list[str]]:
    """Every user that a message names, with the tag to remove."""
    return {
        account(worker, message, user): ["gold"]
        for worker in range(case.concurrency)
        for message in range(case.messages)
        for user in range(USERS)
    }


@contextmanager
def processes(case: Case, aws: str, timpush: str, job: JobStore | None) -> Iterator[list[Any]]:
    """The workers, ready; the first batch of each is another part of a whole one."""
    environment = aws_environment(aws) | worker_environment(
        TIMPUSH_ENDPOINT_URL=timpush,
        TIMPUSH_SECRET_ID=SECRET_ID,
        TIMPUSH_CALLS_PER_SECOND=case.budget,
        WORKER_CONCURRENCY=case.concurrency,
        POWERTOOLS_SERVICE_NAME="budget",
        JOBS_TABLE=job.table.name if job else None,
    )
    with TemporaryDirectory(prefix="budget-") as folder, ExitStack() as stack:
        workers = []
        for number in range(case.concurrency):
            options = {
                "--worker": number,
                "--first": -(-case.messages * (number + 1) // case.concurrency),
                "--messages": case.messages,
                "--job": JOB_ID if job else "",
                "--log": Path(folder) / f"worker-{number}.log",
            }
            arguments = [str(part) for option in options.items() for part in option]
            worker = start("reliability.budget_worker", *arguments, environment=environment)
            stack.callback(end, worker)
            workers.append(worker)
        for worker in workers:
            if read_line(worker) != "ready":
                raise RuntimeError("a worker did not start")
        yield workers


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most of the moments, in ascending order, that lie in any second."""
    most = oldest = 0
    for newest, moment in enumerate(moments):
        while moment - moments[oldest] >= 1:
            oldest += 1
        most = max(most, newest - oldest + 1)
    return most


HEAD = (
    "| Budget, calls/s | Latency, ms | Calls/s | % of the budget | Users/s "
    "| Most starts in a second | Most arrivals in a second | Refused |\n"
    "|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def line(result: Result) -> str:
    """The result as a line of the table."""
    case = result.case
    cells = (
        f"{case.budget}, of a job" if case.of_job else f"{case.budget}",
        f"{case.latency * 1000:.0f}",
        f"{result.calls_a_second:.1f}",
        f"{100 * result.calls_a_second / case.budget:.1f}",
        f"{result.users_a_second:,.0f}",
        f"{result.most_starts}",
        f"{result.most_arrivals}",
        f"{result.refused}",
    )
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--budget", type=int, nargs="+", default=BUDGETS, help="calls a second")
    parser.add_argument("--latency", type=float, nargs="+", default=LATENCIES, help="seconds")
    parser.add_argument("--concurrency", type=int, default=4, help="processes")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in a batch, 100 users each")
    parser.add_argument("--seconds", type=float, help="measured; by default a quarter of a batch")
    parser.add_argument("--cpu", type=float, help="part of a processor that each process gets")
    parser.add_argument("--jobs", action="store_true", help="measure messages of a job too")
    options = parser.parse_args(arguments)
    exit_on_sigterm()
    if options.cpu:
        print(f"Each process gets {options.cpu:.0%} of a processor.\n")
    print(HEAD, flush=True)
    cases = [
        Case(
            budget,
            latency,
            options.concurrency,
            options.messages,
            options.seconds,
            options.cpu,
            of_job,
        )
        for budget in options.budget
        for latency in options.latency
        for of_job in ((False, True) if options.jobs else (False,))
    ]
    results: list[Result] = []
    for case in cases:
        results.append(measure(case))
        print(line(results[-1]), flush=True)
    print(f"\n{summary(results)}")
    return 0 if all(result.held for result in results) else 1


def summary(results: Sequence[Result]) -> str:
    """What became of the users of all cases."""
    text = (
        f"users acknowledged {sum(result.acknowledged for result in results):,}, "
        f"whose tag is still there {sum(result.in_vain for result in results):,}"
    )
    of_jobs = [result for result in results if result.case.of_job]
    unrecorded = sum(result.unrecorded for result in of_jobs)
    return f"{text}, messages of a job without a record {unrecorded:,}" if of_jobs else text


if __name__ == "__main__":
    sys.exit(main())
