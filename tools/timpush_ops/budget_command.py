"""The command `budget`: its options and what it prints."""

from functools import partial

import click
from botocore.exceptions import BotoCoreError, ClientError

from timpush_ops.budget import Patience, change_budget
from timpush_ops.output import examples, output_option, show_json
from timpush_ops.stack import make_client, resolve

KEEP = (
    "The stack keeps these values until a deployment names others. `sam deploy` takes the "
    "parameters that samconfig.toml lists (written by --guided or --save-params) from there: "
    "change them there, too."
)


@click.command(
    epilog=examples(
        "budget --app-calls 80 --stack-name NAME", "budget --workers 5 --stack-name NAME"
    )
)
@click.option("--stack-name", required=True, help="The deployed stack.")
@click.option("--app-calls", type=int, help="New AppCallsPerSecond.")
@click.option("--api-calls", type=int, help="New ApiCallsPerSecond.")
@click.option("--workers", type=int, help="New WorkerConcurrency.")
@output_option
def budget(
    stack_name: str,
    app_calls: int | None,
    api_calls: int | None,
    workers: int | None,
    output: str,
) -> None:
    """Change calls per second or workers, within the budget throughout.

    For a stack that runs. Pauses the mapping, waits until running invocations are over (two
    minutes), updates the stack's parameters, and resumes. Messages wait meanwhile.
    """
    options = {
        "AppCallsPerSecond": app_calls,
        "ApiCallsPerSecond": api_calls,
        "WorkerConcurrency": workers,
    }
    changed = {name: str(value) for name, value in options.items() if value is not None}
    if not changed:
        raise click.UsageError("give --app-calls, --api-calls or --workers")
    target = resolve(stack_name, {"mapping_id": None, "function_name": None})
    say = partial(click.echo, err=True)
    clients = make_client("cloudformation"), make_client("lambda")
    try:
        change_budget(*clients, stack_name, target, changed, Patience(say))
    except (KeyboardInterrupt, ClientError, BotoCoreError):
        say(f"the mapping may be paused: see ./ops doctor --stack-name {stack_name}")
        raise
    if output == "json":
        show_json({"StackName": stack_name, "Changed": changed})
    else:
        click.echo(", ".join(f"{name}={value}" for name, value in changed.items()))
    say(KEEP)
