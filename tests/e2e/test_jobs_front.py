"""The deployed jobs, as callers of the endpoint and operators with their commands see them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner, Result

from local.emulator import aws_environment
from local.endpoint import Answer, post
from local.run import Local
from local.stack import STACK_NAME
from timpush_ops.cli import cli

pytestmark = pytest.mark.slow  # each waits for a job of the deployed stack

PATIENCE_SECONDS = 120.0
STACK = ("--stack-name", STACK_NAME)


def call(local: Local, method: str, path: str, body: Any = "") -> Answer:
    return post(
        local.endpoint_url, local.outputs["ApiId"], body, path=f"/v1/jobs{path}", method=method
    )


def until(found: Callable[[], Any]) -> Any:
    """What a question finds at last."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.2)
    raise AssertionError("it did not come")


@pytest.fixture
def ops(local: Local, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command on the emulator."""
    for name, value in aws_environment(local.endpoint_url).items():
        monkeypatch.setenv(name, value)

    def run(*words: object) -> Result:
        return CliRunner(mix_stderr=False).invoke(cli, [*map(str, words), *STACK])

    return run


def know(local: Local, *accounts: str) -> None:
    local.timpush.tags.update({account: {"gold", "kept"} for account in accounts})


def csv_of(*accounts: str) -> str:
    return "To_Account,Tag\n" + "".join(f"{account},gold\n" for account in accounts)


def test_a_job_over_https_from_the_upload_to_its_end(local: Local) -> None:
    # Given an upload that was prepared
    know(local, "https-1")
    options = {"file-name": "win back ü.csv", "on-fault": "skip", "requested-by": "李"}
    prepared = call(local, "POST", "", options)
    assert prepared.status == 201
    job = prepared.content
    assert call(local, "GET", f"/{job['JobId']}").status == 404
    # When the file is uploaded
    body = csv_of("https-1", "https-unknown", "")
    sent = urllib3.request(
        job["UploadMethod"], job["UploadUrl"], body=body, headers=job["UploadHeaders"]
    )
    assert sent.status == 200
    # Then the job of that id ends with these figures

    def ended() -> Any:
        answer = call(local, "GET", f"/{job['JobId']}")
        return answer.content if answer.status == 200 and answer.content["EndedAt"] else None

    document = until(ended)
    figures = [document[name] for name in ("State", "Rows", "FaultyRows", "Removed", "NotRemoved")]
    assert figures == ["done", 3, 1, 1, 1]
    assert document["RequestedBy"] == "李"
    # And it is listed, reported the same, and cannot be stopped any more
    assert document in call(local, "GET", "").content["Jobs"]
    stored = local.client("s3").get_object(Bucket=document["Bucket"], Key=document["Report"])
    assert json.loads(stored["Body"].read()) == document
    assert call(local, "DELETE", f"/{job['JobId']}").status == 409


def test_send_follows_a_job_to_its_end(
    local: Local, ops: Callable[..., Result], tmp_path: Path
) -> None:
    accounts = [f"ops-{number}" for number in range(150)]
    know(local, *accounts)
    file = tmp_path / "ids.txt"
    file.write_text("\n".join([*accounts, "ops-unknown"]), encoding="utf-8")

    done = ops("send", file, "--tag", "gold", "--requested-by", "Ann", "--output", "json")

    assert done.exit_code == 3, done.stderr
    document = json.loads(done.stdout)
    assert (document["Users"], document["Removed"], document["NotRemoved"]) == (151, 150, 1)
    assert all(local.timpush.tags[account] == {"kept"} for account in accounts)
    assert json.loads(ops("job", document["JobId"], "--output", "json").stdout) == document
    assert document["JobId"] in ops("jobs").stdout


def test_a_stopped_job_reports_who_was_not_reached(
    local: Local, ops: Callable[..., Result]
) -> None:
    # Given a job whose messages wait, as the worker takes none
    accounts = [f"stop-{number}" for number in range(20)]
    know(local, *accounts)
    assert ops("pause").exit_code == 0
    prepared = call(local, "POST", "", {}).content
    urllib3.request("PUT", prepared["UploadUrl"], body=csv_of(*accounts))
    job_id = prepared["JobId"]
    until(lambda: call(local, "GET", f"/{job_id}").content.get("State") == "settling")
    # When it is stopped, and the worker goes on
    assert ops("job", "stop", job_id, "--reason", "wrong file").exit_code == 0
    assert ops("resume").exit_code == 0
    # Then no user was touched, and the report says so
    shown = ops("job", job_id)
    assert shown.exit_code == 4
    assert "wrong file" in shown.stdout
    document = call(local, "GET", f"/{job_id}").content
    assert (document["State"], document["Removed"], document["NotRemoved"]) == ("stopped", 0, 20)
    assert all(local.timpush.tags[account] == {"gold", "kept"} for account in accounts)
