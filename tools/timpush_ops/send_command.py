"""The command `send`."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from timpush_ops.job import (
    Checked,
    Sent,
    Source,
    check_file,
    cut_units,
    job_attributes,
    make_messages,
    new_job_id,
    send_units,
    unconfirmed_rows,
)
from timpush_ops.journal import Journal
from timpush_ops.options import (
    FORMAT,
    bar,
    check_job,
    counted,
    group_id_option,
    not_after_option,
    target,
)
from timpush_ops.rows import Fault, Row, guess_format, read_rows
from timpush_ops.stack import make_client, resolve


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@target("queue_url")
@click.option("--format", "file_format", type=FORMAT, help="By default as the suffix says.")
@click.option("--tag-separator", default="|", show_default=True, help="Of the CSV column Tags.")
@click.option("--job", default="", callback=check_job, help="Job id; by default a new one.")
@group_id_option
@not_after_option
@click.option("--skip-invalid", is_flag=True, help="Send the good lines although some are faulty.")
@click.option("--dry-run", is_flag=True, help="Only check the file and say what would be sent.")
@click.option("--restart", is_flag=True, help="Forget what was sent of this file: a new job.")
@click.option(
    "--journal", type=click.Path(dir_okay=False, path_type=Path), help="Default: FILE.journal."
)
def send(
    file: Path,
    stack_name: str | None,
    queue_url: str | None,
    file_format: Any,
    tag_separator: str,
    job: str,
    message_group_id: str,
    not_after: float | None,
    skip_invalid: bool,
    dry_run: bool,
    restart: bool,
    journal: Path | None,
) -> None:
    """Send the users and tags of FILE to the queue, as one job.

    FILE is CSV with a header (To_Account and Tags, or To_Account and Tag for one tag a row), or
    JSON lines ({"To_Account": "user-1", "Tags": ["gold"]} a line). It is checked whole first. What
    SQS confirmed is remembered in a journal beside it: repeat the command to go on after a crash.
    A user may be sent twice then, which does no harm; none is left out.
    """
    chosen = file_format or guess_format(file)
    if not chosen:
        raise click.UsageError("the file's suffix tells no format: give --format")
    if len(tag_separator) != 1:
        raise click.UsageError("--tag-separator must be one character")
    source = Source(file, chosen, tag_separator, not_after, message_group_id)
    url = None if dry_run else resolve(stack_name, {"queue_url": queue_url})["queue_url"]
    checked = check(source, skip_invalid)
    if url is None:
        messages = sum(len(make_messages(unit, source, {})) for unit in all_units(source))
        click.echo(f"would send {checked.users:,} users in {messages:,} messages; nothing was sent")
        return
    header = source.header(job, url)
    held = Journal(journal or Path(f"{file}.journal"), header, new_job_id(), restart)
    try:
        send_job(source, url, checked, held)
    except KeyboardInterrupt:
        raise click.ClickException("stopped: repeat the command to go on where it was") from None
    finally:
        held.close()


def all_units(source: Source) -> Iterator[list[Row]]:
    """Every unit of the file."""
    found = read_rows(source.path, source.file_format, source.separator)
    return cut_units(row for row in found if isinstance(row, Row))


def check(source: Source, skip_invalid: bool) -> Checked:
    """Check the whole file; ends the command when it is faulty and that is not to be skipped."""

    def tell(fault: Fault) -> None:
        place = f"{fault.place} " if fault.place else ""
        tqdm.write(f"{source.path}:{fault.line}: {place}{fault.rule}", file=sys.stderr)

    with bar(source.path.stat().st_size, "bytes checked") as shown:
        checked = check_file(source, tell, lambda read: shown.update(read - shown.n))
    faulty = len(checked.faulty_lines)
    if faulty and not skip_invalid:
        raise click.ClickException(f"{faulty:,} faulty lines: nothing was sent")
    if not checked.users:
        raise click.ClickException("the file holds no users: nothing was sent")
    if faulty:
        click.echo(f"{faulty:,} faulty lines are left out", err=True)
    return checked


def send_job(source: Source, queue_url: str, checked: Checked, journal: Journal) -> None:
    """Send what the journal does not know as sent, and say how it ended."""
    if journal.resumed:
        click.echo(f"going on with job {journal.job}, as {journal.path} says", err=True)
    attributes = job_attributes(journal.job, checked.users)
    skipped: list[int] = []
    with bar(checked.users, "users sent") as shown:

        def skip(users: int) -> None:
            skipped.append(users)
            shown.update(users)

        units = cut_units(unconfirmed_rows(source, journal, skip))
        make = partial(make_messages, source=source, attributes=attributes)
        sqs = make_client("sqs", attempts=1)  # send_batch tries again by itself
        sent = send_units(sqs, queue_url, units, make, journal, shown.update)
    show_sent(journal, checked, sent, sum(skipped))


def show_sent(journal: Journal, checked: Checked, sent: Sent, skipped: int) -> None:
    earlier = f"; {skipped:,} users were sent before" if skipped else ""
    what = f"{sent.users:,} users in {sent.messages:,} messages" if sent.users else "nothing more"
    click.echo(f"job {journal.job}: sent {what}{earlier}")
    if sent.refused:
        raise click.ClickException(
            f"SQS did not take everything ({counted(sent.refused)}): once that is mended, repeat "
            "the command to go on"
        )
    if skipped + sent.users != checked.users:
        raise click.ClickException("the file changed meanwhile: check what was sent")
    click.echo(f"look how far it is: status {journal.job}")
