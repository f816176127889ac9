"""The command line."""

import os
import sys
import time
from difflib import get_close_matches
from typing import Any

import click
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from timpush.tencent.redaction import guard_logs
from timpush_ops.board_command import board
from timpush_ops.budget import BudgetError
from timpush_ops.budget_command import budget
from timpush_ops.dlq_commands import dlq
from timpush_ops.doctor import Check, Clients, Level, check_crashes, examine
from timpush_ops.follow import FollowError
from timpush_ops.job_commands import job, jobs
from timpush_ops.job_view import INTERRUPTED
from timpush_ops.mapping import MappingError, switch_mapping
from timpush_ops.options import target
from timpush_ops.output import examples, for_stack, output_option, show_json
from timpush_ops.rotate_command import rotate
from timpush_ops.rotation import RotateError
from timpush_ops.send_command import send
from timpush_ops.stack import TargetError, make_client, resolve
from timpush_ops.upload import UploadError

FAILURES = (
    *(ClientError, BotoCoreError, Boto3Error),
    *(BudgetError, FollowError, MappingError, RotateError, UploadError, OSError),
)
SECTIONS = {
    "Start here": ("doctor",),
    "Files of users": ("send", "jobs", "job"),
    "Watch and act": ("board", "dlq", "pause", "resume", "budget", "rotate"),
}
"""The commands in the help screen, by how soon one needs them."""

COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fault": "red"}
LOCAL = ". Does make local still run? Its variables set AWS_ENDPOINT_URL."
REACH = "Set AWS_PROFILE, or AWS_REGION and keys, as for the AWS command line."


class Commands(click.Group):
    """Turns what can go wrong outside into one line of text and an exit code; lists its commands in
    sections."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TargetError as error:
            raise click.UsageError(str(error)) from None
        except (NoCredentialsError, NoRegionError) as error:
            raise click.ClickException(f"{str(error).rstrip('.')}. {REACH}") from None
        except EndpointConnectionError as error:
            raise click.ClickException(
                f"{error}{LOCAL if 'AWS_ENDPOINT_URL' in os.environ else ''}"
            ) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except FAILURES as error:
            raise click.ClickException(str(error)) from None
        except ValueError as error:
            if "endpoint" not in str(error):
                raise
            raise click.ClickException(f"{error} (AWS_ENDPOINT_URL)") from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click's, with the nearest name when there is no such command."""
        near = get_close_matches(args[0], self.commands, 1)
        if near and near[0] != args[0] and args[0] not in self.commands:
            ctx.fail(f"No such command '{args[0]}'. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                limit = formatter.width - widest - 6
                formatter.write_dl(
                    [(f"{n:<{widest}}", self.commands[n].get_short_help_str(limit)) for n in names]
                )


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "doctor --stack-name NAME", "send winback.csv --stack-name NAME", "jobs --stack-name NAME"
    )
    + "\n\nExit codes: 0 done; 1 not all was done, and the message says why; 2 wrong usage. "
    "`send` and `job` have more.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Operate a deployed stack: check it, send it a file of users, follow jobs, manage the
    dead-letter queue.

    AWS is reached by the usual environment variables and profiles (AWS_PROFILE, AWS_REGION,
    AWS_ENDPOINT_URL, ...). COMMAND --help has examples.
    """
    guard_logs()
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":  # https://no-color.org
        context.color = False


@cli.command(
    epilog=examples("doctor --stack-name NAME", "doctor --stack-name NAME --output json")
    + "\n\nExit codes: 0 no fault, though there may be warnings; 1 a fault; 2 wrong usage."
)
@target("function_name")
@output_option
def doctor(stack_name: str | None, function_name: str | None, output: str) -> None:
    """Check settings, secret, UserSig, admin right, queues and mapping.

    Changes nothing; makes one call to TIMPush that asks for the tags of the admin account.
    """
    found = resolve(stack_name, {"function_name": function_name})
    services = ("lambda", "secretsmanager", "sqs", "cloudwatch")
    clients = Clients(*(make_client(service) for service in services))
    checks = []
    for check in examine(clients, found["function_name"], time.time()):
        checks.append(check._replace(fix=for_stack(check.fix, stack_name)))
        if output == "table":
            show_check(checks[-1])
    if output == "json":
        show_json(
            [{name.title(): value for name, value in one._asdict().items()} for one in checks]
        )
    if any(check.level == "fault" for check in checks):
        sys.exit(1)


def show_check(check: Check) -> None:
    """One line, coloured on a terminal, and one for the fix."""
    level = "FAULT" if check.level == "fault" else check.level
    word = click.style(f"{level:<7}", COLOURS[check.level])
    click.echo(f"{word}{check.name:<14}{check.detail}")
    if check.fix:
        click.echo(f"{'':<21}fix: {check.fix}")


@cli.command(epilog=examples("pause --stack-name NAME"))
@target("mapping_id")
@output_option
def pause(stack_name: str | None, mapping_id: str | None, output: str) -> None:
    """Take no more messages from the queue. They wait there, for at most 4 days."""
    switch(stack_name, mapping_id, output, enabled=False)


@cli.command(epilog=examples("resume --stack-name NAME"))
@target("mapping_id")
@output_option
def resume(stack_name: str | None, mapping_id: str | None, output: str) -> None:
    """Take messages from the queue again.

    Says whether invocations crashed lately: their messages stay hidden for up to 13 minutes more.
    """
    found = switch(stack_name, mapping_id, output, enabled=True)
    function = make_client("lambda").get_event_source_mapping(UUID=found)["FunctionArn"]
    crashes = check_crashes(make_client("cloudwatch"), function.rpartition(":")[2], time.time())
    if crashes.level != "ok":
        click.echo(f"{crashes.detail}; {crashes.fix}", err=True)


def switch(stack_name: str | None, mapping_id: str | None, output: str, *, enabled: bool) -> str:
    """Enable or disable the mapping, and say what it is then; returns its id."""
    found = resolve(stack_name, {"mapping_id": mapping_id})["mapping_id"]
    state = switch_mapping(make_client("lambda"), found, enabled)
    if output == "json":
        show_json({"MappingId": found, "State": state})
    else:
        click.echo(f"mapping {found}: {state}")
    return found


for command in (send, jobs, job, board, budget, rotate, dlq):
    cli.add_command(command)
