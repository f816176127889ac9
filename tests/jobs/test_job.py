"""A job from upload to report: every user accounted for, whatever happens on the way."""

import gzip
import json
import random
from collections.abc import Set
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs.fail import fail
from jobs.settle import QUIET_SECONDS
from support.job_store import hooks
from support.jobs import JobRun, csv_of
from support.worker import body, sqs_event
from timpush.jobs import ranges
from timpush.jobs.table import list_jobs, read_job, stop_job
from timpush.tencent.codes import meaning
from timpush_server import Fault

JSON_LINES = "".join(f'{{"To_Account":"user-{n}","Tags":["gold"]}}\n' for n in range(120))


def know(job: JobRun, users: int, but: Set[int] = frozenset(), tag: str = "gold") -> None:
    job.worker.know({f"user-{n}": [tag, "kept"] for n in range(users) if n not in but})


def figures(document: dict[str, Any]) -> tuple[str, int, int, int, int]:
    names = ("State", "Rows", "Removed", "NotRemoved", "FaultyRows")
    return tuple(document[name] for name in names)


class TestReport:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("users.csv", csv_of(120)),
            ("users.jsonl", JSON_LINES),
            ("users.csv.gz", gzip.compress(csv_of(120).encode(), mtime=0)),
            ("Benutzer & ü.ndjson.gz", gzip.compress(JSON_LINES.encode(), mtime=0)),
        ],
    )
    def test_each_format_is_removed_and_reported(
        self, job: JobRun, name: str, text: str | bytes
    ) -> None:
        know(job, 120, but={7, 119})

        report = job.run(text, name, requested_by="Ann", message_group_id="spring")

        assert figures(report) == ("done", 120, 118, 2, 0)
        assert (report["Settled"], report["RequestedBy"]) == (120, "Ann")
        data = text.encode() if isinstance(text, str) else text
        assert report["Sha256"] == sha256(data).hexdigest()
        header = "csv" in name
        assert [(row["To_Account"], row["Tag"], row["Line"]) for row in rows(job)] == [
            ("user-7", "gold", str(8 + header)),
            ("user-119", "gold", str(120 + header)),
        ]
        assert {(row["ErrorCode"], row["Reason"]) for row in rows(job)} == {
            ("70107", meaning(70107))
        }
        assert job.worker.timpush.tags["user-0"] == {"kept"}

    def test_the_stored_document_is_the_report(self, job: JobRun) -> None:
        know(job, 3)
        report = job.run(csv_of(3))
        assert read_job(job.store.table, job.job_id) == report
        assert list_jobs(job.store.table) == [report]

    def test_ranges_are_read_apart_and_reported_as_one(
        self, job: JobRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ranges, "RANGE_BYTES", 1_000)
        know(job, 300, but={0, 150, 299})
        faulty = csv_of(300).replace("user-200,gold\n", "user-200,\n")

        report = job.run(faulty, on_fault="skip")

        assert len(job.ranges) == 5
        assert figures(report) == ("done", 300, 296, 3, 1)
        assert [row["Line"] for row in rows(job)] == ["2", "152", "301"]
        assert job.rows("faults.csv") == [
            {"Line": "202", "Rule": "/Tags/0 must be a non-empty string"}
        ]

    def test_a_store_that_sends_more_than_the_range_changes_nothing(
        self, job: JobRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def drop_range(params: dict[str, Any], **_: Any) -> None:
            params["headers"].pop("Range", None)

        monkeypatch.setattr(ranges, "RANGE_BYTES", 1_000)
        know(job, 300, but={150})
        with hooks({"before-call.s3.GetObject": drop_range}):
            report = job.run(csv_of(300))

        assert len(job.ranges) == 5
        assert figures(report) == ("done", 300, 299, 1, 0)
        assert [row["Line"] for row in rows(job)] == ["152"]

    def test_a_user_with_a_tag_left_is_not_removed(self, job: JobRun) -> None:
        job.worker.timpush.refused_tags["bad"] = 90034
        know(job, 2, tag="gold")

        report = job.run("To_Account,Tags\nuser-0,gold|bad\nuser-1,gold\nuser-0,gold\n")

        assert figures(report) == ("done", 3, 2, 1, 0)
        assert [(row["To_Account"], row["Tag"], row["ErrorCode"]) for row in rows(job)] == [
            ("user-0", "bad", "90034")
        ]
        assert job.worker.timpush.tags["user-0"] == {"kept"}

    def test_a_time_that_has_passed_is_a_reason(self, job: JobRun) -> None:
        know(job, 2)
        report = job.run(csv_of(2), not_after="1")
        assert figures(report) == ("done", 2, 0, 2, 0)
        assert {row["ErrorCode"] for row in rows(job)} == {"Expired"}

    def test_a_dry_run_sends_nothing(self, job: JobRun) -> None:
        report = job.run(csv_of(5), dry_run="true")
        assert figures(report) == ("done", 5, 0, 5, 0)
        assert report["Reason"] == "dry run: nothing was sent"
        assert {row["ErrorCode"] for row in rows(job)} == {"NotSent"}
        assert job.deliver() == 0


def rows(job: JobRun) -> list[dict[str, str]]:
    return job.rows("not-removed.csv")


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "text", "reason", "counts"),
        [  # counts: rows, rows that were not removed, faulty rows, lines that faults.csv names
            ("a.csv", "a,x\nb,y\n", "line 1: must be a header", (0, 0, 0, 1)),
            ("a.csv", "To_Account,Tags,Id\na,x,1\n", "unknown column 'Id'", (0, 0, 0, 1)),
            ("a.csv", "To_Account,Tags\na,x\n".encode("utf-16"), "line 1: must be", (0, 0, 0, 1)),
            (
                "a.csv",
                b"To_Account,Tags\na,x\n\xff,x\n",
                "line 3: /To_Account must be",
                (2, 1, 1, 1),
            ),
            ("a.csv", 'To_Account,Tags\n"a,x\nb,x\n', "line 2: must be CSV", (2, 1, 1, 1)),
            (
                "a.csv",
                f"To_Account,Tags\na,{'x' * 1_048_577}\n",
                "line 2: must be at",
                (1, 0, 1, 1),
            ),
            ("a.csv", "", "line 1: the file is empty", (0, 0, 0, 1)),
            ("a.csv", "To_Account,Tags\n", "line 1: the file must hold users", (0, 0, 0, 0)),
            ("a.jsonl", "\n\n", "line 1: the file must hold users", (0, 0, 0, 0)),
            ("folder/", "", "it marks a folder", (0, 0, 0, 0)),
            ("a.xlsx", "PK", "the name must end with one of .csv", (0, 0, 0, 0)),
            ("a.csv.gz", b"To_Account,Tags\na,x\n", "line 1: must be a whole gzip", (0, 0, 0, 1)),
            (
                "a.jsonl.gz",
                gzip.compress(b"x" * 90, mtime=0)[:-3],
                "must be a whole gzip",
                (1, 0, 1, 1),
            ),
        ],
    )
    def test_the_job_fails_with_a_reason_and_nothing_is_sent(
        self,
        job: JobRun,
        name: str,
        text: str | bytes,
        reason: str,
        counts: tuple[int, ...],
    ) -> None:
        report = job.run(text, name)

        assert report["State"] == "failed"
        assert reason in report["Reason"]
        assert (report["Rows"], report["NotRemoved"], report["FaultyRows"]) == counts[:3]
        assert len({row["Line"] for row in job.rows("faults.csv")} - {""}) == counts[3]
        assert len({row["Line"] for row in rows(job)}) == counts[1]
        assert job.deliver() == 0

    def test_each_option_that_cannot_be_is_named(self, job: JobRun) -> None:
        report = job.run(csv_of(1), on_fault="ignore", dry_run="yes")
        assert report["State"] == "failed"
        assert "on-fault must be stop or skip" in report["Reason"]
        assert "dry-run must be true or false" in report["Reason"]

    def test_a_file_that_is_gone_is_a_reason(self, job: JobRun) -> None:
        assert job.check() == "report"
        assert "was deleted before it was read" in job.finish()["Reason"]

    def test_a_file_that_was_replaced_meanwhile_is_read_in_its_version(self, job: JobRun) -> None:
        know(job, 9)
        job.upload(csv_of(3))
        assert job.check() == "send"
        job.upload(csv_of(9))
        job.send()
        job.work()
        assert figures(job.finish()) == ("done", 3, 3, 0, 0)

    def test_a_file_too_large_is_refused_without_reading_it(
        self, job: JobRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("timpush.jobs.rows.MAX_FILE_BYTES", 20)
        report = job.run(csv_of(5))
        assert "must be at most 20 bytes, is" in report["Reason"]


class TestRepeats:
    def test_every_message_delivered_twice_counts_once(self, job: JobRun) -> None:
        job.deliveries = 2
        know(job, 450, but={3, 333})
        assert figures(job.run(csv_of(450))) == ("done", 450, 448, 2, 0)

    def test_a_range_that_is_sent_again_sends_the_same_chunks(self, job: JobRun) -> None:
        know(job, 250)
        job.upload(csv_of(250))
        job.check()
        job.send()
        job.store.table.update(job.job_id, "range#00000", {"sent": False})
        job.send()
        job.work()
        assert figures(job.finish()) == ("done", 250, 250, 0, 0)

    def test_each_step_can_be_repeated(self, job: JobRun) -> None:
        know(job, 250, but={1})
        job.upload(csv_of(250))
        assert (job.check(), job.check()) == ("send", "send")
        job.send()
        job.send()
        job.work()
        job.work()
        assert job.finish() | {"EndedAt": ""} == job.finish() | {"EndedAt": ""}

    def test_rejected_users_and_the_rest_of_their_message_count_once(self, job: JobRun) -> None:
        # Given one user is unknown, and TIMPush cannot remove the tag of another for now
        know(job, 100, but={50})
        job.deliveries = 2
        job.worker.timpush.account_codes["user-51"] = 91000
        job.upload(csv_of(100))
        job.check()
        job.send()
        # When the message is settled in part
        job.deliver()
        live = read_job(job.store.table, job.job_id)
        assert live
        assert (live["Removed"], live["NotRemoved"], live["Settled"]) == (98, 1, 99)
        # Then the rest is settled by a message of its own
        job.worker.timpush.account_codes.clear()
        job.work()
        assert figures(job.finish()) == ("done", 100, 99, 1, 0)
        assert job.worker.timpush.tags["user-51"] == {"kept"}


class TestStop:
    def test_what_is_queued_is_dropped_and_reported(self, job: JobRun) -> None:
        know(job, 250)
        job.upload(csv_of(250))
        job.check()
        job.send()
        assert stop_job(job.store.table, job.job_id, "stopped by Ann")
        assert not stop_job(job.store.table, job.job_id, "again")
        job.work()

        report = job.finish()

        assert figures(report) == ("stopped", 250, 0, 250, 0)
        assert (report["Reason"], report["Settled"]) == ("stopped by Ann", 250)
        assert {row["ErrorCode"] for row in rows(job)} == {"stopped"}
        assert job.worker.timpush.tags["user-0"] == {"gold", "kept"}

    def test_the_sending_ends(self, job: JobRun) -> None:
        job.upload(csv_of(250))
        job.check()
        stop_job(job.store.table, job.job_id, "stopped")
        job.send()
        assert job.settled()
        assert figures(job.finish()) == ("stopped", 250, 0, 250, 0)
        assert job.deliver() == 0

    def test_a_job_that_has_ended_cannot_be_stopped(self, job: JobRun) -> None:
        know(job, 1)
        job.run(csv_of(1))
        assert not stop_job(job.store.table, job.job_id, "too late")


class TestTable:
    def test_a_message_without_a_record_returns_to_the_queue(self, job: JobRun) -> None:
        know(job, 1)
        record = job_record("m0", "user-0", job.job_id)
        job.store.put_job(job.job_id, State="sending")
        job.store.table.client.delete_table(TableName=job.store.table.name)

        failed = job.worker.handle({"Records": [record]})

        assert failed == ["m0"]
        assert job.worker.timpush.tags["user-0"] == {"kept"}

    def test_other_messages_do_not_wait_for_the_table(self, job: JobRun) -> None:
        know(job, 2)
        job.store.table.client.delete_table(TableName=job.store.table.name)
        event = sqs_event([body({"user-0": ["gold"]})])
        event["Records"].append(job_record("m1", "user-1", "nobody", chunk=""))
        assert job.worker.handle(event) == []

    def test_a_job_that_the_table_does_not_know_is_none(self, job: JobRun) -> None:
        know(job, 1)
        assert job.worker.handle({"Records": [job_record("m0", "user-0", "unknown")]}) == []
        assert job.store.table.query("unknown", "chunks#") == []


def job_record(message_id: str, account: str, job_id: str, chunk: str = "0:0") -> dict[str, Any]:
    (record,) = sqs_event({message_id: body({account: ["gold"]})})["Records"]
    values = {"JobId": job_id, "Chunk": chunk}
    record["messageAttributes"] = {
        name: {"stringValue": value, "dataType": "String"} for name, value in values.items()
    }
    found: dict[str, Any] = record
    return found


class TestLostMessages:
    def test_they_are_unsettled_once_the_queue_is_empty_for_an_hour(self, job: JobRun) -> None:
        know(job, 200)
        job.upload(csv_of(200))
        job.check()
        job.send()
        (message,) = job.worker.sqs.receive_message(
            QueueUrl=job.worker.queue_url, MaxNumberOfMessages=1
        )["Messages"]
        job.worker.sqs.delete_message(
            QueueUrl=job.worker.queue_url, ReceiptHandle=message["ReceiptHandle"]
        )
        job.deliver()
        now = datetime.now(UTC).timestamp()
        assert not job.settled(now)
        assert not job.settled(now + QUIET_SECONDS)
        assert job.settled(now + QUIET_SECONDS + 1)

        report = job.finish()

        assert figures(report) == ("done", 200, 100, 100, 0)
        assert report["Settled"] == 100
        assert {row["ErrorCode"] for row in rows(job)} == {"Unsettled"}


class TestFailure:
    def test_what_was_sent_before_a_step_failed_is_accounted_for(self, job: JobRun) -> None:
        know(job, 150)
        job.upload(csv_of(150))
        job.check()
        job.send()
        event = {"JobId": job.job_id, "Bucket": job.store.bucket, "Key": "k", "Stage": "send"}
        error = {"Error": "SendError", "Cause": "SQS did not take 3 of 200 messages"}
        failed = fail(event | {"Error": error}, job.aws, datetime.now(UTC))
        assert (failed["Ranges"], failed["Ended"]) == ([0], False)
        job.work()
        report = job.finish()
        assert figures(report) == ("failed", 150, 150, 0, 0)
        assert report["Reason"].startswith("the step send failed: SendError: SQS did not take 3")

    def test_a_job_whose_report_fails_ends_with_what_is_known(self, job: JobRun) -> None:
        know(job, 150)
        job.upload(csv_of(150))
        job.check()
        job.send()
        job.work()
        event = {"JobId": job.job_id, "Bucket": job.store.bucket, "Key": "k", "Stage": "report"}
        ended = fail(event | {"Error": {"Error": "ReportError"}}, job.aws, datetime.now(UTC))
        assert (ended["Ended"], ended["DetailType"]) == (True, "Job Failed")
        assert ended["Detail"]["Removed"] == 150
        assert json.loads(job.read("report.json"))["State"] == "failed"

    def test_a_step_that_failed_before_there_was_a_job_leaves_one(self, job: JobRun) -> None:
        event = {"JobId": job.job_id, "Bucket": job.store.bucket, "Key": "k", "Stage": "plan"}
        fail(event | {"Error": {"Error": "States.Timeout"}}, job.aws, datetime.now(UTC))
        report = job.finish()
        assert figures(report) == ("failed", 0, 0, 0, 0)


def test_the_report_is_exact_whatever_goes_wrong(job: JobRun) -> None:
    # Given unknown users, a refused tag, calls that fail, and every message delivered twice
    chance = random.Random(7)
    unknown = set(chance.sample(range(1_500), 60))
    know(job, 1_500, but=unknown)
    timpush = job.worker.timpush
    timpush.refused_tags["bad"] = 90034
    text = csv_of(1_500).replace("user-9,gold\n", "user-9,gold|bad\n")
    text = text.replace("user-44,gold\n", "user-44,\n")
    job.deliveries = 2
    job.upload(text, on_fault="skip")
    assert job.check() == "send"
    job.send()
    for fault in (Fault("drop"), Fault("status"), Fault("garbage"), Fault("lost_reply")):
        timpush.inject(fault)
    # And a table that throttles every third write of the worker
    writes = count(1)

    def throttle(**_: Any) -> None:
        if next(writes) % 3 == 0:
            error: Any = {"Error": {"Code": "ProvisionedThroughputExceededException"}}
            raise ClientError(error, "UpdateItem")

    events = ("before-call.dynamodb.UpdateItem", "before-call.dynamodb.BatchWriteItem")
    with hooks(dict.fromkeys(events, throttle)):
        job.work()
    # Then the report is exact to the user
    report = job.finish()
    lost = sorted({f"user-{n}" for n in unknown - {44}} | {"user-9"})
    assert figures(report) == ("done", 1_500, 1_499 - len(lost), len(lost), 1)
    assert report["Settled"] == 1_499
    assert sorted(row["To_Account"] for row in rows(job)) == lost
    left = {n for n in range(1_500) if "gold" in timpush.tags.get(f"user-{n}", ())}
    assert left == {44} - unknown
    assert next(writes) > 3
