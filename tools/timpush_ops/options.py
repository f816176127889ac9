"""Options and output that the commands share."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
from tqdm import tqdm

from timpush.messages import MAX_NOT_AFTER

JOB_RULE = re.compile(r"[A-Za-z0-9._:-]{1,100}")
FORMAT = click.Choice(["csv", "jsonl"])

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class Moment(click.ParamType):
    """Unix seconds, or a date and time with its offset in ISO 8601."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            moment = float(value)
        except ValueError:
            moment = self._read_date(str(value), param, ctx)
        if not time.time() < moment <= MAX_NOT_AFTER:
            self.fail("must lie ahead, in seconds", param, ctx)
        return moment

    def _read_date(
        self, text: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            rule = "must be Unix seconds, or such as 2027-01-31T18:00:00+08:00"
            self.fail(rule, param, ctx)
        return moment.timestamp()


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
            command = click.option(option, help="In place of the stack's own.")(command)
        return click.option("--stack-name", help="The deployed stack.")(command)

    return decorate


group_id_option = click.option(
    "--message-group-id", default="", help="Tenant for fair queues, e.g. the campaign."
)
not_after_option = click.option(
    "--not-after",
    type=Moment(),
    help="Time after which a removal is not made but parked: Unix seconds or ISO 8601.",
)


def bar(total: int | None, unit: str) -> Any:
    """A progress bar on standard error; none where that is no terminal."""
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=None, dynamic_ncols=True)


def counted(counts: Counter[str]) -> str:
    """Such as: 70107: 12, 90034: 1."""
    return ", ".join(f"{name}: {number:,}" for name, number in counts.most_common())
