"""The deployed stack: from a file in the bucket to the report and the event."""

import csv
import io
import json
import time
from typing import Any

import pytest

from local.run import Local
from timpush.jobs.state import new_job_id, upload_key

PATIENCE_SECONDS = 120.0


def upload(local: Local, name: str, text: str | bytes, **metadata: str) -> str:
    """Upload a file; returns the id of its job."""
    job_id = new_job_id()
    body = text.encode() if isinstance(text, str) else text
    local.client("s3").put_object(
        Bucket=local.outputs["JobsBucketName"],
        Key=upload_key(job_id, name),
        Body=body,
        Metadata={key.replace("_", "-"): value for key, value in metadata.items()},
    )
    return job_id


def await_report(local: Local, job_id: str) -> dict[str, Any]:
    s3, bucket = local.client("s3"), local.outputs["JobsBucketName"]
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            text = s3.get_object(Bucket=bucket, Key=f"reports/{job_id}/report.json")["Body"].read()
        except s3.exceptions.NoSuchKey:
            time.sleep(0.2)
            continue
        report: dict[str, Any] = json.loads(text)
        return report
    raise AssertionError(f"no report of {job_id}:\n{local.log.read_text(errors='replace')[-6000:]}")


def read_list(local: Local, job_id: str, name: str) -> list[dict[str, str]]:
    s3, bucket = local.client("s3"), local.outputs["JobsBucketName"]
    text = s3.get_object(Bucket=bucket, Key=f"reports/{job_id}/{name}")["Body"].read().decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_is_removed_and_reported_to_the_user(local: Local) -> None:
    # Given 250 users, of whom 3 are unknown to TIMPush
    known = [f"campaign-user-{number}" for number in range(250)]
    unknown = {known[0], known[120], known[249]}
    local.timpush.tags.update({one: {"gold", "kept"} for one in known if one not in unknown})
    # When their file is uploaded
    rows = "".join(f"{one},gold\n" for one in known)
    job_id = upload(local, "win back ü.csv", f"To_Account,Tags\n{rows}", requested_by="Ms Example")
    report = await_report(local, job_id)
    # Then each is accounted for
    assert (report["State"], report["Rows"], report["Users"]) == ("done", 250, 250), report
    assert (report["Removed"], report["NotRemoved"], report["FaultyRows"]) == (247, 3, 0)
    assert (report["Settled"], report["RequestedBy"]) == (250, "Ms Example")
    listed = read_list(local, job_id, "not-removed.csv")
    assert {(row["To_Account"], row["Tag"], row["ErrorCode"]) for row in listed} == {
        (one, "gold", "70107") for one in unknown
    }
    assert [int(row["Line"]) for row in listed] == [2, 122, 251]
    assert all(local.timpush.tags[one] == {"kept"} for one in known if one not in unknown)


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("a.csv", "To_Account,Tags\na,x\nb,\n", "line 3: /Tags/0 must be a non-empty string"),
        ("a.csv", "account;tags\n", "line 1: must be a header"),
        ("a.csv", "", "line 1"),
        ("a.txt", "To_Account,Tags\na,x\n", "the name must end with"),
        ("a/", "", "folder"),
    ],
)
def test_a_bad_file_fails_with_a_reason_and_nothing_is_sent(
    local: Local, name: str, body: str, reason: str
) -> None:
    job_id = upload(local, name, body)
    report = await_report(local, job_id)
    assert report["State"] == "failed"
    assert reason in report["Reason"]
    assert report["Removed"] == 0
    assert report["Rows"] == report["FaultyRows"] + report["NotRemoved"]
