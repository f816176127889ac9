"""The deployed stack: from a file in the bucket to the report and the event."""

import csv
import io
import json
import time
from typing import Any

import pytest

from local.run import Local
from timpush.jobs.state import new_job_id, upload_key
from timpush.jobs.table import Table, read_job, stop_job

pytestmark = pytest.mark.slow  # each waits for a job of the deployed stack

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


def test_the_end_of_a_job_is_an_event(local: Local) -> None:
    # Given a rule that puts the events of jobs onto a queue
    sqs, events = local.client("sqs"), local.client("events")
    url = sqs.create_queue(QueueName="job-events")["QueueUrl"]
    names = ["QueueArn"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]
    events.put_rule(Name="jobs", EventPattern=json.dumps({"source": ["timpush.remove-tags"]}))
    events.put_targets(Rule="jobs", Targets=[{"Id": "queue", "Arn": arn}])
    # When a job fails and another one ends
    local.timpush.tags["event-user"] = {"gold"}
    ids = [
        upload(local, "no-header.csv", "event-user,gold\n"),
        upload(local, "good.csv", "To_Account,Tag\nevent-user,gold\n"),
    ]
    reports = [await_report(local, job_id) for job_id in ids]
    # Then both are told, with the report's figures and place
    found: dict[str, Any] = {}
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found) < len(ids) and time.monotonic() < until:
        for message in sqs.receive_message(QueueUrl=url).get("Messages", []):
            event = json.loads(message["Body"])
            found[event["detail"]["JobId"]] = (event["detail-type"], event["detail"])
    assert found == {
        ids[0]: ("Job Failed", reports[0]),
        ids[1]: ("Job Finished", reports[1]),
    }
    assert reports[1]["Report"] == f"reports/{ids[1]}/report.json"


def test_a_stopped_job_removes_nothing_more(local: Local) -> None:
    # Given a job whose messages wait on the queue
    functions, mapping = local.client("lambda"), local.outputs["WorkerMappingId"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    local.timpush.tags["stopped-user"] = {"gold"}
    table = Table(local.client("dynamodb"), local.outputs["JobsTableName"])
    job_id = upload(local, "stopped.csv", "To_Account,Tag\nstopped-user,gold\n")
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        live = read_job(table, job_id)
        if live and live["State"] == "settling":
            break
        time.sleep(0.2)
    # When it is stopped, and the worker goes on
    assert stop_job(table, job_id, "stopped by a test")
    functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    report = await_report(local, job_id)
    # Then its user keeps the tag, and is reported
    assert (report["State"], report["Removed"], report["NotRemoved"]) == ("stopped", 0, 1)
    assert [row["ErrorCode"] for row in read_list(local, job_id, "not-removed.csv")] == ["stopped"]
    assert local.timpush.tags["stopped-user"] == {"gold"}
