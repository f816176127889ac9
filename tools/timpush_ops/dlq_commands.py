"""The commands `dlq list`, `dlq export` and `dlq send-back`."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from timpush.jobs.rows import guess_format
from timpush.tencent.codes import meaning
from timpush_ops.dead_letters import CLOCK_SECONDS, Hold, Letter, server_time
from timpush_ops.export import make_writer
from timpush_ops.options import (
    FORMAT,
    check_job,
    group_id_option,
    not_after_option,
    target,
)
from timpush_ops.output import (
    bar,
    counted,
    examples,
    output_option,
    plural,
    show_json,
    show_table,
)
from timpush_ops.send_back import Choice, Queues, Result, send_back
from timpush_ops.stack import make_client, resolve


@click.group()
def dlq() -> None:
    """Manage the dead-letter queue: list, export, send back.

    Messages that are looked at stay out of sight of others meanwhile, at most for --seconds.
    """


bounds = (
    click.option("--limit", type=click.IntRange(1), default=100_000, help="Messages, at most."),
    click.option(
        "--seconds",
        type=click.IntRange(5, 43_200),
        default=900,
        show_default=True,
        help="Time to read, at most.",
    ),
)


def bounded(command: Callable[..., None]) -> Callable[..., None]:
    """--limit and --seconds."""
    for option in bounds:
        command = option(command)
    return command


@contextmanager
def holding(queue_url: str, limit: int, seconds: int) -> Iterator[tuple[Hold, Any]]:
    """The dead letters, to be shown again at the end, and a bar for them."""
    sqs = make_client("sqs")
    reply = sqs.get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    waiting = int(reply["Attributes"]["ApproximateNumberOfMessages"])
    hold = Hold(sqs, queue_url, limit, seconds, server_time(reply), waiting)
    try:
        with bar(waiting, "messages read") as shown:
            yield hold, shown
    finally:
        hidden = hold.release()
    if hidden:
        shown_again = f"hidden from others for up to {seconds} s"
        click.echo(f"{plural(hidden, 'message')} {shown_again}", err=True)
    if hold.stopped:
        click.echo(f"{hold.stopped}: there may be more", err=True)


@dlq.command(
    "list",
    epilog=examples("dlq list --stack-name NAME", "dlq list --stack-name NAME --output json"),
)
@target("dead_letter_queue_url")
@bounded
@output_option
def list_dead_letters(
    stack_name: str | None,
    dead_letter_queue_url: str | None,
    limit: int,
    seconds: int,
    output: str,
) -> None:
    """Count users on the dead-letter queue by code and job. Deletes nothing."""
    found = resolve(stack_name, {"dead_letter_queue_url": dead_letter_queue_url})
    users: Counter[tuple[str, str]] = Counter()
    messages: Counter[tuple[str, str]] = Counter()
    total = 0
    with holding(found["dead_letter_queue_url"], limit, seconds) as (hold, shown):
        for letters in hold.receive():
            shown.update(len(letters))
            total += len(letters)
            for letter in letters:
                add_letter(letter, users, messages)
    counts: list[dict[str, Any]] = [
        {"ErrorCode": code, "JobId": job, "Users": users[code, job], "Messages": number}
        for (code, job), number in sorted(
            messages.items(), key=lambda one: (-users[one[0]], one[0])
        )
    ]
    counts.sort(key=lambda one: (-one["Users"], one["ErrorCode"], one["JobId"]))
    if output == "json":
        show_json({"Messages": total, "Codes": counts})
        return
    show_dead_letters(counts)
    click.echo(f"{plural(total, 'message')} on the dead-letter queue")


def add_letter(
    letter: Letter, users: Counter[tuple[str, str]], messages: Counter[tuple[str, str]]
) -> None:
    """Count a message and its users by code and job; one with several codes under each."""
    if letter.document is None:
        messages[letter.attributes["ErrorCode"], letter.job] += 1
        return
    for user in letter.users:
        users.update((code, letter.job) for code in user.codes)
    messages.update({(code, letter.job) for user in letter.users for code in user.codes})


def show_dead_letters(counts: list[dict[str, Any]]) -> None:
    if not counts:
        return
    rows = [
        (one["ErrorCode"], one["Users"], one["Messages"], one["JobId"] or "-", says(one))
        for one in counts
    ]
    show_table(("CODE", "USERS", "MESSAGES", "JOB", "MEANING"), rows)


def says(count: dict[str, Any]) -> str:
    code = count["ErrorCode"]
    return meaning(int(code)) if code.isdigit() else ""


code_option = click.option("--code", "codes", multiple=True, help="Only users with this code.")
job_option = click.option("--job", default="", callback=check_job, help="Only users of this job.")


@dlq.command("export", epilog=examples("dlq export dead-letters.csv --stack-name NAME"))
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@target("dead_letter_queue_url")
@click.option("--format", "file_format", type=FORMAT, help="Default: from the file name.")
@bounded
def export_dead_letters(
    file: str,
    stack_name: str | None,
    dead_letter_queue_url: str | None,
    file_format: Any,
    limit: int,
    seconds: int,
) -> None:
    """Write the dead letters to FILE (- is standard output). Deletes nothing.

    CSV has a row a tag, to look at; JSON lines have a line a user, and `send` reads them again. A
    malformed message has no users: it is a row without account, or a line with its body.
    """
    chosen = file_format or guess_format(file)
    if not chosen:
        raise click.UsageError("the format can't be inferred from the file name: give --format")
    found = resolve(stack_name, {"dead_letter_queue_url": dead_letter_queue_url})
    if file != "-" and Path(file).exists():
        raise click.UsageError(f"{file} exists")
    total = 0
    with click.open_file(file, "w", encoding="utf-8") as opened:
        write = make_writer(opened, chosen)
        with holding(found["dead_letter_queue_url"], limit, seconds) as (hold, shown):
            for letters in hold.receive():
                shown.update(len(letters))
                total += len(letters)
                for letter in letters:
                    write(letter)
    click.echo(f"{plural(total, 'message')} exported", err=True)


@dlq.command(
    "send-back",
    epilog=examples(
        "dlq send-back --code 70107 --stack-name NAME          # shows what it would do",
        "dlq send-back --code 70107 --stack-name NAME --yes    # does it",
    ),
)
@target("queue_url", "dead_letter_queue_url")
@code_option
@job_option
@click.option("--all", "everything", is_flag=True, help="All but Malformed and Expired ones.")
@click.option("--yes", is_flag=True, help="Do it. Without it, only shows what would be done.")
@group_id_option
@not_after_option
@bounded
@output_option
def send_back_dead_letters(
    stack_name: str | None,
    queue_url: str | None,
    dead_letter_queue_url: str | None,
    codes: tuple[str, ...],
    job: str,
    everything: bool,
    yes: bool,
    message_group_id: str,
    not_after: float | None,
    limit: int,
    seconds: int,
    output: str,
) -> None:
    """Send dead-lettered users back to the queue, once the cause is fixed.

    A user with several codes goes back when all of them are named. Malformed
    messages and expired users go back only when --code names Malformed or Expired. A removal that
    is made late also takes away a tag that the user was given again meanwhile: see --not-after.
    """
    if everything == bool(codes or job):
        raise click.UsageError("give --all, or --code and --job")
    found = resolve(
        stack_name, {"queue_url": queue_url, "dead_letter_queue_url": dead_letter_queue_url}
    )
    urls = found["queue_url"], found["dead_letter_queue_url"]
    queues = Queues(make_client("sqs"), *urls, not_after, message_group_id)
    with holding(found["dead_letter_queue_url"], limit, seconds) as (hold, shown):
        choice = Choice(frozenset(codes), job)
        if yes:  # by then, what the worker dead-letters again is later than the hold's beginning
            time.sleep(CLOCK_SECONDS)
        result = send_back(hold, choice, queues, not yes, shown.update)
    if output == "json":
        show_json(result_document(result, yes))
    else:
        show_result(result, yes)
    check_result(result)


def result_document(result: Result, done: bool) -> dict[str, Any]:
    """What was sent back, or without --yes would be; `Kept` counts messages that stay."""
    return {
        "Done": done,
        "Users": result.users,
        "Messages": result.messages,
        "Codes": dict(result.codes.most_common()),
        "Kept": result.kept,
    }


def show_result(result: Result, done: bool) -> None:
    """The same in a sentence."""
    what = f"{plural(result.users, 'user')} of {plural(result.messages, 'message')}"
    codes = f" ({counted(result.codes)})" if result.codes else ""
    click.echo(
        f"{'sent' if done else 'would send'} back {what}{codes}; "
        f"{plural(result.kept, 'other message')} {'stays' if result.kept == 1 else 'stay'}"
    )
    if not done:
        click.echo("nothing was changed: repeat with --yes to do it")


def check_result(result: Result) -> None:
    """Say what SQS did not do; end the command with exit code 1 when it did not take everything."""
    if result.undeleted:
        click.echo(
            f"{plural(result.undeleted, 'message')} went back but may still be dead letters",
            err=True,
        )
    if result.refused:
        raise click.ClickException(
            f"SQS did not take everything ({counted(result.refused)}): what it did not take is "
            "still on the dead-letter queue"
        )
