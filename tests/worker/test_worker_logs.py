"""What the worker's function says of an invocation: the summary, the metrics, dead letters."""

import hashlib
import json
from typing import Any

import pytest

from remove_tags_worker import app
from support.rotation import captured
from support.worker import Worker, body
from timpush_server import Fault


def lines(worker: Worker, *bodies: str) -> list[dict[str, Any]]:
    """What one invocation logs."""
    with captured(app.logger) as log:
        worker.remove(*bodies)
    return [json.loads(line) for line in log.getvalue().splitlines()]


def metrics(printed: str) -> dict[str, float]:
    """The values of the last metrics printed."""
    blobs = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    [described] = blobs[-1]["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "TimPushRemoveTag"
    return {metric["Name"]: blobs[-1][metric["Name"]][0] for metric in described["Metrics"]}


def test_one_summary_line_with_the_figures(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a batch with each kind of end
    worker.know({"good": ["gold"], "busy": ["gold"]})
    worker.timpush.account_codes["busy"] = 91000
    bodies = [body({account: ["gold"]}) for account in ("good", "busy", "unknown")]
    # When it is done
    logged = lines(worker, *bodies, "{", body({"late": ["gold"]}, NotAfter=1))
    # Then one line sums it up
    [summary] = [line for line in logged if line["message"] == "batch settled"]
    assert summary["messages"] == 5
    assert summary["users"] == 4
    assert summary["removed"] == 1
    assert summary["parked"] == {"70107": 1, "Expired": 1}
    assert summary["malformed_messages"] == 1
    assert summary["handed_back"] == {"transient": 1}
    assert summary["calls"] == len(worker.timpush.received)
    assert summary["duration_ms"] > 0
    # And the metrics have the same figures
    found = metrics(capfd.readouterr().out)
    assert found["UsersRemoved"] == 1
    assert found["UsersParked"] == 2
    assert found["MessagesHandedBack"] == 1
    assert found["Calls"] == len(worker.timpush.received)
    assert found["CallsFailed"] == found["RateLimited"] == found["CredentialErrors"] == 0


def test_refused_calls_are_counted(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    worker.know({"user": ["gold"]})
    worker.timpush.inject(Fault("code", code=60007))
    worker.remove(body({"user": ["gold"]}))
    found = metrics(capfd.readouterr().out)
    assert (found["RateLimited"], found["CallsFailed"], found["Calls"]) == (1, 1, 2)
    worker.store_secret(worker.timpush.secret(key="another"))
    app.make_worker.cache_clear()
    worker.remove(body({"user": ["gold"]}))
    assert metrics(capfd.readouterr().out)["CredentialErrors"] == 1


def test_how_to_fix_it_is_said_once(worker: Worker) -> None:
    worker.timpush.set_fault(Fault("code", code=60026, info="wrong site"))
    logged = lines(worker, *(body({f"user-{number}": ["gold"]}) for number in range(300)))
    [line] = [line for line in logged if line["level"] == "ERROR"]
    assert "60026" in line["reason"]
    assert "wrong site" in line["reason"]
    assert "region" in line["fix"]


def test_an_unknown_code_is_logged_with_its_text(worker: Worker) -> None:
    worker.know({"user": ["gold"]})
    worker.timpush.set_fault(Fault("code", code=61234, info="never heard of"))
    logged = lines(worker, body({"user": ["gold"]}))
    [line] = [line for line in logged if line.get("error_code") == 61234]
    assert line["error_info"] == "never heard of"


def test_at_most_20_dead_letters_have_lines_of_their_own(worker: Worker) -> None:
    logged = lines(worker, *(body({f"unknown-{number}": ["gold"]}) for number in range(25)))
    assert len([line for line in logged if line["message"] == "message parked"]) == 20
    [more] = [line for line in logged if line["message"] == "more messages parked"]
    assert more["messages"] == 5


@pytest.mark.parametrize("hashed", ["true", "false"])
def test_accounts_are_hashed_where_wanted(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, hashed: str
) -> None:
    monkeypatch.setenv("HASH_ACCOUNTS_IN_LOGS", hashed)
    with captured(app.logger) as log:
        worker.remove(body({"unknown-person": ["gold"]}))
    digest = hashlib.sha256(b"unknown-person").hexdigest()[:16]
    assert ("unknown-person" in log.getvalue()) == (hashed == "false")
    assert (digest in log.getvalue()) == (hashed == "true")
