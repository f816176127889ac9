"""The command `board`: serves the operators' page on this machine until Ctrl-C."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from timpush_ops.job_view import make_table
from timpush_ops.output import examples
from timpush_ops.stack import make_client, resolve

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

NAMES = ("queue_url", "dead_letter_queue_url", "mapping_id", "jobs_table", "worker_log_group")
STACK_RULE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
ATTEMPTS = 2
"""At a request to AWS: the page asks again by itself."""


def check_stack(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """It stands in the names of metrics and alarms, so an ARN is not enough."""
    if not STACK_RULE.fullmatch(value):
        raise click.BadParameter("must be the stack's name: letters, digits and hyphens")
    return value


@click.command(
    epilog=examples("board --stack-name NAME", "board --stack-name NAME --port 8080"),
)
@click.option("--stack-name", required=True, callback=check_stack, help="The deployed stack.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port of 127.0.0.1; without, any that is free.",
)
def board(stack_name: str, port: int) -> None:
    """Serve a page for the browser: jobs, queues, budget and alarms.

    It also shows what returned to the queue, and what failed. Only this machine reaches it. It
    reads, with your rights, and changes nothing.
    """
    with serving(stack_name, port) as server:
        click.echo(f"http://127.0.0.1:{server.port}/")
        click.echo("Ctrl-C ends it", err=True)
        server.serve_forever()


@contextmanager
def serving(stack_name: str, port: int) -> Iterator["BaseWSGIServer"]:
    """The page's server, bound and not yet answering.

    Raises:
        TargetError: the stack lacks an output that the page needs.
    """
    # Flask takes as long to load as all the rest: other commands do without.
    from werkzeug.serving import WSGIRequestHandler, make_server

    from timpush_ops.board_figures import Clients
    from timpush_ops.board_page import Reader, make_app, make_sources

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            """Nothing is said of requests."""

    target = resolve(stack_name, dict.fromkeys(NAMES))
    services = ("cloudformation", "lambda", "cloudwatch", "logs", "sqs")
    clients = Clients(*(make_client(service, ATTEMPTS) for service in services))
    sources = make_sources(clients, make_table(target["jobs_table"]), stack_name, target)
    app = make_app(stack_name, clients.sqs.meta.region_name, Reader(sources))
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    try:
        yield server
    finally:
        server.server_close()
