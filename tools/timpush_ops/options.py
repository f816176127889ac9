"""Options that the commands share."""

import re
import time
from collections.abc import Callable
from typing import Any

import click

from timpush.jobs.options import check_ahead, read_moment
from timpush_ops.stack import OUTPUTS

FORMAT = click.Choice(["csv", "jsonl"])
JOB_RULE = re.compile(r"[A-Za-z0-9._:-]{1,100}")

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class Moment(click.ParamType):
    """A time to come: Unix seconds, or a date and time with its offset in ISO 8601."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            moment = read_moment(value)
            check_ahead(moment, time.time())
        except ValueError as error:
            self.fail(f"{value} {error}", param, ctx)
        return moment


def check_job(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Job ids stand in attributes, log lines and filters: plain characters only."""
    if value and not JOB_RULE.fullmatch(value):
        raise click.BadParameter("must be 1 to 100 letters, digits and . _ : -")
    return value


def target(*names: str) -> Decorator:
    """--stack-name, and an option for each thing of the stack that the command needs."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            option = f"--{name.replace('_', '-')}"
            words = f"Overrides the stack's output {OUTPUTS[name]}."
            command = click.option(option, help=words)(command)
        return click.option("--stack-name", help="The deployed stack.")(command)

    return decorate


group_id_option = click.option(
    "--message-group-id", default="", help="Tenant for fair queues, e.g. the campaign."
)
not_after_option = click.option(
    "--not-after",
    type=Moment(),
    help="Time after which a removal is no longer made: Unix seconds or ISO 8601 with offset.",
)
