"""The operators' page as a Flask application: what it reads how often, and how it is answered.

Its routes take GET alone, and answer only to the names of this machine: a page of another site that
has its name resolve to 127.0.0.1 is refused, and none may frame or load it.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from flask import Flask, Response, render_template, request

from timpush.jobs.state import RUNNING
from timpush.jobs.table import Table
from timpush.metrics import WORKER as MEANINGS
from timpush_ops import board_figures as figures
from timpush_ops.board_figures import Clients
from timpush_ops.follow import SENT
from timpush_ops.job_view import is_checked_only
from timpush_ops.output import plural

REFRESH_SECONDS = 15
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HOSTS = ["127.0.0.1", "localhost"]


class Source(NamedTuple):
    """One thing that is read, the right it needs, and the seconds after which it is read again."""

    read: Callable[[], Any]
    right: str
    seconds: float


class Found(NamedTuple):
    """What a source said; `error` is empty when it could be read."""

    value: Any
    error: str
    right: str


def make_sources(
    clients: Clients,
    table: Table,
    stack_name: str,
    target: Mapping[str, str],
    clock: Callable[[], float] = time.time,
) -> dict[str, Source]:
    """What the page reads, by name; `target` holds what `resolve` found of the stack.

    CloudWatch has a figure a minute and bills each metric that is asked for, so it is asked seldom.
    """
    queue, dead = target["queue_url"], target["dead_letter_queue_url"]
    stacks, sqs, cloudwatch = clients.stacks, clients.sqs, clients.cloudwatch

    def metrics() -> figures.Metrics:
        return figures.read_metrics(cloudwatch, stack_name, queue, clock())

    def dead_letters() -> figures.DeadLetters:
        return figures.read_dead_letters(clients.logs, target["worker_log_group"], clock())

    mapping = partial(figures.read_mapping, clients.functions, target["mapping_id"])
    share = partial(figures.read_share, stacks, stack_name)
    alarms = partial(figures.read_alarms, cloudwatch, stack_name)
    jobs = partial(figures.read_jobs, table)
    return {
        "queue": Source(partial(figures.read_depth, sqs, queue), "sqs:GetQueueAttributes", 5),
        "dead": Source(partial(figures.read_depth, sqs, dead), "sqs:GetQueueAttributes", 5),
        "mapping": Source(mapping, "lambda:GetEventSourceMapping", 5),
        "jobs": Source(jobs, "dynamodb:Query and dynamodb:GetItem", 10),
        "alarms": Source(alarms, "cloudwatch:DescribeAlarms", 15),
        "share": Source(share, "cloudformation:DescribeStacks", 60),
        "metrics": Source(metrics, "cloudwatch:GetMetricData", 60),
        "dead_letters": Source(dead_letters, "logs:FilterLogEvents", 60),
    }


@dataclass
class Reader:
    """Reads all sources at the same time, and keeps what each said for its seconds."""

    sources: Mapping[str, Source]
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[float, Found]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> dict[str, Found]:
        """What every source says; an error is kept no longer than until the next look."""
        with self._lock:
            now = self.clock()
            due = [name for name in self.sources if self._is_due(name, now)]
            with ThreadPoolExecutor(max(1, len(due))) as pool:
                found = pool.map(lambda name: attempt(self.sources[name]), due)
                self._kept.update((name, (now, one)) for name, one in zip(due, found, strict=True))
            return {name: found for name, (_, found) in self._kept.items()}

    def _is_due(self, name: str, now: float) -> bool:
        read_at, found = self._kept.get(name, (0.0, None))
        return found is None or bool(found.error) or now - read_at >= self.sources[name].seconds


def attempt(source: Source) -> Found:
    """Read a source. Whatever is wrong with one, the page shows the others."""
    try:
        return Found(source.read(), "", source.right)
    except ClientError as error:
        return Found(None, str(error), source.right)
    except Exception as error:
        return Found(None, f"{type(error).__name__}: {error}", source.right)


def make_app(
    stack_name: str,
    region: str,
    reader: Reader,
    clock: Callable[[], float] = time.time,
) -> Flask:
    """The application."""
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = HOSTS
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {
        "age": show_age,
        "moment": show_moment,
        "number": "{:,}".format,
        "rate": show_rate,
        "words": show_words,
    }
    app.jinja_env.tests["checked_only"] = is_checked_only

    @app.get("/")
    def page() -> str:
        found = reader.read()
        return render_template(
            "board.html",
            **found,
            stack=stack_name,
            region=region,
            read_at=datetime.fromtimestamp(clock(), UTC),
            refresh=0 if request.args.get("refresh") == "0" else REFRESH_SECONDS,
            headline=headline(found),
            running=RUNNING,
            waiting=SENT,
            returned=returned(found["metrics"].value),
        )

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return app


def headline(found: Mapping[str, Found]) -> tuple[str, str]:
    """How things stand, in a word for the style and in some for the reader."""
    states = [one.state for one in found["alarms"].value or ()]
    ringing = states.count("ALARM")
    unread = [name for name, one in found.items() if one.error]
    if ringing:
        return "bad", plural(ringing, "alarm")
    if found["mapping"].value not in (None, "Enabled"):
        return "warn", "Paused" if found["mapping"].value == "Disabled" else "Changing"
    if unread:
        return "warn", "Not everything could be read"
    if states and set(states) == {"INSUFFICIENT_DATA"}:
        return "warn", "No alarm data"
    return "good", "No alarm"


def returned(metrics: figures.Metrics | None) -> list[tuple[str, int, str]]:
    """Why messages returned to the queue in the last hour: a label, how many, and what it means."""
    if metrics is None:
        return []
    names = [name for name in metrics.worker if name.startswith("HandedBack")]
    rows = [
        (
            show_words(name.removeprefix("HandedBack")),
            metrics.worker[name].total,
            MEANINGS[name].meaning.removeprefix("of these: "),
        )
        for name in names
        if metrics.worker[name].total
    ]
    return sorted(rows, key=lambda row: -row[1])


def show_words(name: str) -> str:
    """Such as: RateLimited, Rate limited."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def show_rate(value: float) -> str:
    """Such as: 0, 7.3, 79, 9,801."""
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def show_age(seconds: float) -> str:
    """Such as: 40 s, 12 min, 3 h 5 min, 2 d 3 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def show_moment(moment: datetime | str) -> str:
    """Such as: 2026-11-25 08:30 UTC."""
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{read.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
