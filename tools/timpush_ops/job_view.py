"""How a job is shown and followed, and the exit code that its end stands for."""

import sys
from collections.abc import Iterator

import click

from timpush.jobs.state import Document
from timpush.jobs.table import Table
from timpush_ops.follow import STALL_SECONDS, Follower, Stall
from timpush_ops.output import bar, for_stack, show_json
from timpush_ops.reasons import Reasons, read_reasons
from timpush_ops.stack import make_client

NOT_ALL_REMOVED, NOT_DONE, INTERRUPTED = 3, 4, 130
STALLED = (
    f"no progress for {STALL_SECONDS:.0f} s: the worker may be paused, or TIMPush may not answer. "
    "To see which: ./ops doctor --stack-name NAME"
)
EXIT_CODES = """\b
Exit codes:
  0    done, and every user of the file lost the tags (with --dry-run: no row is faulty)
  1    the command failed; the message says why
  2    wrong usage
  3    done, but users were not removed or rows were faulty: see the report
  4    the job failed or was stopped: see its reason
  130  Ctrl-C; a job that has begun goes on without you
"""


def follow(follower: Follower, stack_name: str | None) -> Document:
    """Show a job's progress until it has ended; its last document."""
    try:
        return show_progress(follower, follower.wait_for_start(), stack_name)
    except KeyboardInterrupt:
        commands = (
            f"  follow it:  ./ops job {follower.job_id} --stack-name NAME\n"
            f"  stop it:    ./ops job stop {follower.job_id} --stack-name NAME"
        )
        click.echo(
            f"job {follower.job_id} goes on without you.\n{for_stack(commands, stack_name)}",
            err=True,
        )
        sys.exit(INTERRUPTED)


def show_progress(follower: Follower, job: Document, stack_name: str | None) -> Document:
    """A bar on a terminal, elsewhere a line for each state; the last document."""
    state = ""
    last = job
    stall = Stall(follower.clock)
    with bar(None, "users") as shown:
        for last in follower.states(job):
            if shown.disable and last["State"] != state:
                click.echo(f"job {follower.job_id}: {last['State']}", err=True)
            state = last["State"]
            shown.total = last["Users"] or None
            shown.set_description(state, refresh=False)
            shown.update(last["Settled"] - shown.n)
            shown.refresh()
            if stall.begins(last):
                shown.write(for_stack(STALLED, stack_name), file=sys.stderr)
    return last


def exit_code(job: Document) -> int:
    """0 when every user lost the tags, or of a dry run, when no row is faulty."""
    if job["State"] != "done":
        return NOT_DONE
    remaining = 0 if is_checked_only(job) else job["NotRemoved"]
    return NOT_ALL_REMOVED if remaining or job["FaultyRows"] else 0


def is_checked_only(job: Document) -> bool:
    """Whether it is a dry run that is done: its users are those that a job would send."""
    return job["State"] == "done" and job["Options"].get("dry-run") == "true"


def show_job(job: Document, output: str) -> None:
    """The document as JSON, or in lines; with the codes of the users that were not removed."""
    if output == "json":
        show_json(job)
        return
    asked = job["Report"] and job["NotRemoved"] and not is_checked_only(job)
    reasons = read_reasons(make_client("s3"), job) if asked else None
    for name, value in (*job_lines(job, reasons), *report_lines(job)):
        if value:
            click.echo(f"{name:<14}{value}")


def job_lines(job: Document, reasons: Reasons | None) -> list[tuple[str, str]]:
    """Names and values; those without a value are not shown."""
    return [
        ("job", job["JobId"]),
        ("state", job["State"]),
        ("reason", job["Reason"]),
        ("rows", plain(job["Rows"])),
        ("faulty rows", plain(job["FaultyRows"])),
        ("users", plain(job["Users"])),
        *removed_lines(job, reasons),
        ("pending", plain(max(0, job["Users"] - job["Settled"])) if not job["EndedAt"] else ""),
        ("started", job["StartedAt"]),
        ("ended", job["EndedAt"]),
        ("requested by", job["RequestedBy"]),
        ("file", f"s3://{job['Bucket']}/{job['Key']}"),
    ]


def removed_lines(job: Document, reasons: Reasons | None) -> Iterator[tuple[str, str]]:
    """What became of the users, in words for what the job did: check, send, or fail before that."""
    left = plain(job["NotRemoved"])
    if is_checked_only(job):
        yield "would remove", left
        return
    yield "removed", plain(job["Removed"])
    if reasons and reasons.is_not_sent:
        yield "not sent", left
        return
    yield "not removed", left
    yield from reason_lines(reasons) if reasons else ()


def reason_lines(reasons: Reasons) -> Iterator[tuple[str, str]]:
    """A line a code, below the users that were not removed."""
    width = max((len(plain(number)) for _, number, _ in reasons.users), default=0)
    for code, number, words in reasons.users:
        yield f"  {code}", f"{plain(number):<{width}}  {words}".rstrip()
    if not reasons.complete:
        yield "  ...", "these are the codes of the list's first rows"


def report_lines(job: Document) -> Iterator[tuple[str, str]]:
    """Where the report is, and the commands that print its lists."""
    folder = f"s3://{job['Bucket']}/{job['Report'].rpartition('/')[0]}/"
    if job["Report"]:
        yield "report", folder
        if job["NotRemoved"] and not is_checked_only(job):
            yield "who and why", f"aws s3 cp {folder}not-removed.csv -"
        if job["FaultyRows"]:
            yield "which rows", f"aws s3 cp {folder}faults.csv -"


def plain(number: int) -> str:
    return f"{number:,}"


def make_table(name: str) -> Table:
    return Table(make_client("dynamodb"), name)
