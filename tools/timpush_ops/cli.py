"""The command line. Exit codes: 0 done, 1 faults were found or not all was done, 2 wrong usage."""

import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
)

from timpush.tencent.redaction import guard_logs
from timpush_ops.budget import BudgetError
from timpush_ops.budget_command import budget
from timpush_ops.dlq_commands import dlq
from timpush_ops.doctor import Check, Clients, examine
from timpush_ops.journal import JournalError
from timpush_ops.mapping import MappingError, switch_mapping
from timpush_ops.options import check_job, target
from timpush_ops.send_command import send
from timpush_ops.stack import TargetError, make_client, resolve
from timpush_ops.status import Status, read_status

REACH = "Set AWS_PROFILE, or AWS_REGION and keys, as for the AWS command line."


class Commands(click.Group):
    """Turns what can go wrong outside into one line of text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TargetError as error:
            raise click.UsageError(str(error)) from None
        except (NoCredentialsError, NoRegionError) as error:
            raise click.ClickException(f"{error} {REACH}") from None
        except (
            ClientError,
            BotoCoreError,
            JournalError,
            MappingError,
            BudgetError,
            OSError,
        ) as error:
            raise click.ClickException(str(error)) from None
        except ValueError as error:
            if "endpoint" not in str(error):
                raise
            raise click.ClickException(f"{error} (AWS_ENDPOINT_URL)") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Operate a deployed stack: check it, send it a file of users, look after what is parked.

    AWS is reached by the usual environment variables and profiles (AWS_PROFILE, AWS_REGION,
    AWS_ENDPOINT_URL, ...).
    """
    guard_logs()


@cli.command()
@target("function_name")
def doctor(stack_name: str | None, function_name: str | None) -> None:
    """Check settings, secret, UserSig, admin right, queues and mapping.

    Changes nothing; makes one call to TIMPush that asks for the tags of the admin account.
    """
    found = resolve(stack_name, {"function_name": function_name})
    services = ("lambda", "secretsmanager", "sqs", "cloudwatch")
    clients = Clients(*(make_client(service) for service in services))
    checks = []
    for check in examine(clients, found["function_name"], time.time()):
        show_check(check)
        checks.append(check)
    if not all(check.ok for check in checks):
        sys.exit(1)


def show_check(check: Check) -> None:
    click.echo(f"{'ok' if check.ok else 'FAULT':<7}{check.name:<14}{check.detail}")
    if check.mend:
        click.echo(f"{'':<21}mend: {check.mend}")


@cli.command()
@click.argument("job", callback=check_job)
@target("log_group_name")
@click.option(
    "--hours",
    type=click.IntRange(1),
    default=120,
    show_default=True,
    help="How far back to read the logs; a message lives 96 hours on the queue.",
)
def status(job: str, stack_name: str | None, log_group_name: str | None, hours: int) -> None:
    """Say how far JOB is, from the worker's summary lines.

    sent is what `send` counted before it began, also what a killed `send` has yet to send. pending
    is sent less removed and parked: on the queue, coming back, or moved to the dead-letter queue by
    SQS itself. A message that SQS delivers twice is counted twice, and so are users that are
    parked, sent back and settled again: pending is then too small by as many. handed back counts
    each time that a user came back.
    """
    found = resolve(stack_name, {"log_group_name": log_group_name})
    since = time.time() - hours * 3_600
    result = read_status(make_client("logs"), found["log_group_name"], job, since)
    if not result.lines and not result.left_out:
        raise click.ClickException(
            f"no summary line names {job} since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M}"
            " UTC: nothing of it was worked on yet, or the log level is above INFO"
        )
    show_status(result)


def show_status(result: Status) -> None:
    counts = result.counts
    pending = max(0, result.sent - result.settled)
    for name, number in (
        ("sent", result.sent or None),
        ("removed", counts["removed"]),
        ("parked", counts["parked"]),
        ("pending", pending if result.sent else None),
        ("handed back", counts["handed_back"]),
    ):
        click.echo(f"{name:<12}{'unknown' if number is None else f'{number:,}':>14}")
    if result.sent and result.settled > result.sent:
        more = result.settled - result.sent
        click.echo(f"{more:,} more were settled than sent: delivered twice, or sent back")
    if result.left_out:
        click.echo(f"{result.left_out:,} lines held too many jobs to count this one: too low")


@cli.command()
@target("mapping_id")
def pause(stack_name: str | None, mapping_id: str | None) -> None:
    """Take no more messages from the queue: they wait there, for at most 4 days."""
    switch(stack_name, mapping_id, enabled=False)


@cli.command()
@target("mapping_id")
def resume(stack_name: str | None, mapping_id: str | None) -> None:
    """Take messages from the queue again.

    Messages of an invocation that crashed stay hidden for up to 13 minutes more: doctor shows them
    as in flight.
    """
    switch(stack_name, mapping_id, enabled=True)


def switch(stack_name: str | None, mapping_id: str | None, *, enabled: bool) -> None:
    found = resolve(stack_name, {"mapping_id": mapping_id})["mapping_id"]
    click.echo(f"mapping {found}: {switch_mapping(make_client('lambda'), found, enabled)}")


cli.add_command(budget)
cli.add_command(send)
cli.add_command(dlq)
