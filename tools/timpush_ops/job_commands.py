"""The commands `jobs`, `job` and `job stop`."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from timpush.jobs.state import Document
from timpush.jobs.table import Table, list_jobs, read_job, stop_job
from timpush_ops.follow import Follower
from timpush_ops.job_view import (
    EXIT_CODES,
    exit_code,
    follow,
    is_checked_only,
    make_table,
    show_job,
)
from timpush_ops.options import target
from timpush_ops.output import examples, for_stack, output_option, show_json, show_table
from timpush_ops.stack import resolve


@click.command(
    epilog=examples(
        "jobs --stack-name NAME",
        "jobs --stack-name NAME --output json | jq '.[] | select(.State == \"failed\")'",
    )
)
@target("jobs_table")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)
@output_option
def jobs(stack_name: str | None, jobs_table: str | None, limit: int, output: str) -> None:
    """List the latest jobs, latest first."""
    found = resolve(stack_name, {"jobs_table": jobs_table})
    table = make_table(found["jobs_table"])
    listed = [live(table, job) for job in list_jobs(table, limit)]
    if output == "json":
        show_json(listed)
    elif listed:
        columns = ("JOB", "STATE", "STARTED", "USERS", "REMOVED", "NOT REMOVED", "FILE")
        show_table(columns, [row(job) for job in listed])
    else:
        start = "no jobs yet; start one: ./ops send FILE --stack-name NAME"
        click.echo(for_stack(start, stack_name), err=True)


class JobCommands(click.Group):
    """`job JOB_ID` stands for `job show JOB_ID`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=JobCommands,
    epilog=examples(
        "job 20261124T020000Z-1f3a9b2c --stack-name NAME",
        "job 20261124T020000Z-1f3a9b2c --stack-name NAME --output json",
        "job stop 20261124T020000Z-1f3a9b2c --stack-name NAME",
    )
    + "\n\n"
    + EXIT_CODES,
)
def job() -> None:
    """Follow one job (`job JOB_ID`), or stop it."""


@job.command(epilog=examples("job 20261124T020000Z-1f3a9b2c --stack-name NAME"))
@click.argument("job_id")
@target("jobs_table")
@click.option("--once", is_flag=True, help="Show it as it is now; do not follow it.")
@output_option
def show(
    job_id: str, stack_name: str | None, jobs_table: str | None, once: bool, output: str
) -> None:
    """Follow JOB_ID to its end, then show it. With --output json: show it as it is now."""
    found = resolve(stack_name, {"jobs_table": jobs_table})
    read = partial(read_job, make_table(found["jobs_table"]))
    first = must_exist(read(job_id), job_id, stack_name)
    if once or output == "json":
        show_job(first, output)
        return
    last = follow(Follower(job_id, read), stack_name)
    show_job(last, output)
    sys.exit(exit_code(last))


@job.command(epilog=examples("job stop 20261124T020000Z-1f3a9b2c --stack-name NAME"))
@click.argument("job_id")
@target("jobs_table")
@click.option("--reason", default="stopped by an operator", show_default=True)
@output_option
def stop(
    job_id: str, stack_name: str | None, jobs_table: str | None, reason: str, output: str
) -> None:
    """Stop JOB_ID: nothing more is sent, and workers drop what is queued.

    Tags that were removed stay removed. The report names every user who was not reached.
    """
    found = resolve(stack_name, {"jobs_table": jobs_table})
    table = make_table(found["jobs_table"])
    stopped = stop_job(table, job_id, reason)
    current = must_exist(read_job(table, job_id), job_id, stack_name)
    if not stopped and (current["EndedAt"] or current["State"] != "stopped"):
        raise click.ClickException(f"job {job_id} has ended before: {current['State']}")
    if output == "json":
        show_json(current)
    else:
        when = "is stopped" if stopped else "was stopped before"
        click.echo(f"job {job_id} {when}; its report follows")


def must_exist(job: Document | None, job_id: str, stack_name: str | None) -> Document:
    if job is None:
        text = (
            f"there is no job {job_id}. A new job appears about a second after its upload; jobs "
            "are kept for JobRetentionDays. To list them: ./ops jobs --stack-name NAME"
        )
        raise click.ClickException(for_stack(text, stack_name))
    return job


def live(table: Table, job: Document) -> Document:
    """A listed job with its figures as of now; those of a job that has ended stand."""
    return job if job["EndedAt"] else read_job(table, job["JobId"]) or job


def row(job: Document) -> tuple[Any, ...]:
    checked = is_checked_only(job)
    state = f"{job['State']}, dry run" if checked else job["State"]
    figures = (job["Users"], job["Removed"], 0 if checked else job["NotRemoved"])
    return (job["JobId"], state, job["StartedAt"], *figures, Path(job["Key"]).name)
