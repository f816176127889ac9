"""The command `send`."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from timpush.errors import MalformedMessageError
from timpush.jobs.options import NAMES, Options, OptionsError, read_fields, write_options
from timpush.jobs.rows import SUFFIXES, guess_format
from timpush.jobs.state import new_job_id, upload_key
from timpush.jobs.table import read_job
from timpush.messages import check_user
from timpush_ops.follow import Follower
from timpush_ops.job_view import EXIT_CODES, INTERRUPTED, exit_code, follow, make_table, show_job
from timpush_ops.options import group_id_option, not_after_option, target
from timpush_ops.output import byte_bar, examples, for_stack, output_option
from timpush_ops.stack import make_client, resolve
from timpush_ops.upload import Upload, upload

NAMES_OF_FILES = (
    f"the file name must end in {', '.join(SUFFIXES)}, or in that and .gz: it says the format "
    "(a file of ids takes --tag)"
)


@click.command(
    epilog=examples(
        "send winback.csv --stack-name NAME",
        "send ids.txt --tag gold --stack-name NAME",
        "send winback.csv --stack-name NAME --on-fault skip --not-after 2027-01-31T18:00:00+08:00",
        "send winback.csv --stack-name NAME --dry-run",
    )
    + "\n\n"
    + EXIT_CODES
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@target("jobs_bucket", "jobs_table")
@click.option("--tag", default="", help="FILE holds ids, one a line: remove this tag of each.")
@click.option(
    "--separator", default="|", show_default=True, help="Separator within the column Tags."
)
@click.option(
    "--on-fault",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="If a row breaks a rule: send nothing, or send the rest and report the row.",
)
@click.option("--dry-run", is_flag=True, help="Only check the file.")
@click.option("--requested-by", default="", help="Free text for the report, e.g. who and why.")
@group_id_option
@not_after_option
@output_option
def send(
    file: Path,
    stack_name: str | None,
    jobs_bucket: str | None,
    jobs_table: str | None,
    tag: str,
    output: str,
    **fields: Any,
) -> None:
    """Upload FILE as a job, and follow it to its end.

    FILE is CSV with a header (To_Account and Tags, or To_Account and Tag for one tag a row), or
    JSON lines ({"To_Account": "user-1", "Tags": ["gold"]} a line); with --tag, one id a line. It is
    checked whole before anything is sent. Once it is uploaded, the job runs by itself.
    """
    options = make_options(fields)
    if tag:
        check_tag(tag)
    elif guess_format(file.name) is None:
        raise click.UsageError(NAMES_OF_FILES)
    found = resolve(stack_name, {"jobs_bucket": jobs_bucket, "jobs_table": jobs_table})
    job_id = new_job_id()
    name = f"{file.stem}.jsonl" if tag else file.name
    key = upload_key(job_id, os.fsencode(name).decode(errors="replace"))
    what = Upload(file, found["jobs_bucket"], key, write_options(options), tag)
    send_file(what, job_id, stack_name)
    follower = Follower(job_id, partial(read_job, make_table(found["jobs_table"])))
    job = follow(follower, stack_name)
    show_job(job, output)
    sys.exit(exit_code(job))


def make_options(fields: dict[str, Any]) -> Options:
    """The options as given, checked by the rules that the job checks them by."""
    given = {name: fields[name.replace("-", "_")] for name in NAMES}
    try:
        return read_fields({name: value for name, value in given.items() if value is not None})
    except OptionsError as error:
        rules = "; ".join(f"--{name} {rule}" for name, rule in error.faults)
        raise click.UsageError(rules) from None


def check_tag(tag: str) -> None:
    """End the command when no user can have this tag."""
    try:
        check_user({"To_Account": "user-1", "Tags": [tag]})
    except MalformedMessageError as error:
        raise click.UsageError(f"--tag {error.faults[0][1]}") from None


def send_file(what: Upload, job_id: str, stack_name: str | None) -> None:
    """Upload the file with a progress bar."""
    total = what.path.stat().st_size
    try:
        with byte_bar(total, "uploading") as shown:
            upload(make_client("s3"), what, shown.update)
    except KeyboardInterrupt:
        text = (
            f"the upload was stopped; job {job_id} has not begun, unless it is listed by "
            "./ops jobs --stack-name NAME"
        )
        click.echo(for_stack(text, stack_name), err=True)
        sys.exit(INTERRUPTED)
    click.echo(f"job {job_id}: s3://{what.bucket}/{what.key} is uploaded", err=True)
