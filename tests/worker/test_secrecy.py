"""The UserSig is in nothing that is printed, logged, raised, stored or shown, at any level."""

import json
import logging
import os
import traceback
from urllib.parse import quote_plus

import pytest

from remove_tags_worker import app
from support.log_levels import everything_at_debug, holds
from support.printed import printed
from support.worker import Worker, body
from timpush.errors import SettingsError
from timpush.settings import read_settings
from timpush_server import Fault

FAULTS = [
    Fault("drop"),
    Fault("garbage"),
    Fault("status", status=502),
    Fault("status", status=302),
    Fault("lost_reply"),
    Fault("code", code=91000),
    Fault("code", code=60007),
    Fault("code", code=70001),
    Fault("code", code=60026),
    Fault("code", code=61234),
    Fault("code", code=90034),
]


def said(worker: Worker) -> str:
    """Everything an invocation says, and its dead letters."""
    with everything_at_debug(), printed(app.logger) as written:
        try:
            worker.remove(body({"known": ["gold"], "unknown": ["gold"]}), "{")
        except Exception:
            written.write(traceback.format_exc())
        environment = app.make_worker(read_settings(os.environ)).environment
        written.write(f"{environment!r} {environment.standing!r} {vars(environment.client)!r}")
        written.write(f"{vars(environment.credentials)!r}")
    return written.getvalue() + json.dumps(worker.dead_letters())


def test_the_search_would_find_it(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the very loggers, which no factory cleans
    secret = worker.timpush.secret()
    worker.store_secret(secret)
    monkeypatch.setattr(app, "guard_logs", lambda: None)
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    # When the secret is read at debug level, then the search finds the UserSig
    try:
        with everything_at_debug(), printed(app.logger) as written:
            worker.remove(body({"known": ["gold"]}))
    finally:
        logging.setLogRecordFactory(factory)
    assert holds(written.getvalue(), json.loads(secret)["usersig"])


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=str)
def test_the_usersig_is_nowhere(worker: Worker, fault: Fault | None) -> None:
    # Given a UserSig that is used, and a fault
    secret = worker.timpush.secret()
    usersig = json.loads(secret)["usersig"]
    worker.store_secret(secret)
    worker.know({"known": ["gold"]})
    if fault:
        worker.timpush.inject(fault)
    # When the batch is done with every logger at debug level
    text = said(worker)
    # Then the UserSig was sent, and is nowhere else
    assert worker.timpush.received[0].query["usersig"] == usersig
    assert "urllib3" in text or "batch settled" in text
    assert not holds(text, usersig)


def test_an_error_info_that_repeats_the_usersig_is_redacted(worker: Worker) -> None:
    secret = worker.timpush.secret()
    usersig = json.loads(secret)["usersig"]
    worker.store_secret(secret)
    info = f"usersig {usersig} or {quote_plus(usersig)} is bad"
    worker.timpush.set_fault(Fault("code", code=90034, info=info))
    text = said(worker)
    assert not holds(text, usersig)
    assert "usersig *** or *** is bad" in text


def test_a_secret_that_is_no_json_is_not_repeated(worker: Worker) -> None:
    usersig = worker.timpush.usersig()
    worker.store_secret(usersig)
    assert not holds(said(worker), usersig)


def test_a_call_that_hangs_until_the_deadline_does_not_show_it(worker: Worker) -> None:
    worker.timpush.set_fault(Fault("hang", seconds=30))
    with everything_at_debug(), printed(app.logger) as written:
        assert worker.remove(body({"known": ["gold"]}), seconds=9.0) == ["m0"]
    assert worker.timpush.received
    assert not holds(written.getvalue(), worker.timpush.received[0].query["usersig"])


@pytest.mark.parametrize(
    "variable", ["TIMPUSH_ENDPOINT_URL", "TIMPUSH_REGION", "WORKER_CONCURRENCY", "QUEUE_URL"]
)
def test_a_setting_that_holds_the_usersig_by_mistake_is_not_repeated(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    usersig = worker.timpush.usersig()
    monkeypatch.setenv(variable, f"ftp://admin@127.0.0.1?usersig={usersig}")
    with everything_at_debug(), printed(app.logger) as written:
        try:
            worker.remove(body({"known": ["gold"]}))
        except SettingsError:
            written.write(traceback.format_exc())
    assert "SettingsError" in written.getvalue()
    assert variable in written.getvalue()
    assert not holds(written.getvalue(), usersig)
