"""Jobs over HTTPS: an upload is prepared, jobs are listed, read and stopped."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import urllib3

from remove_tags_api import app
from support.api import Api
from support.api_jobs import CALLER, JobsApi, serving_jobs
from support.rotation import captured
from timpush.jobs.options import Options, read_options
from timpush.jobs.state import chosen_id
from timpush.jobs.table import read_job

ENDED = "2026-11-25T12:01:00Z"


@pytest.fixture
def jobs(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsApi]:
    with serving_jobs(api, monkeypatch.setenv) as made:
        yield made


def upload(content: dict[str, Any], body: bytes, headers: dict[str, str] | None = None) -> int:
    """Upload as a reply says; the status of S3."""
    sent = content["UploadHeaders"] if headers is None else headers
    reply = urllib3.request(content["UploadMethod"], content["UploadUrl"], body=body, headers=sent)
    return reply.status


class TestPrepare:
    def test_the_upload_gets_the_jobs_id_and_the_options(self, jobs: JobsApi) -> None:
        reply = jobs.post(
            {
                "file-name": "win back 用户.csv",
                "not-after": 4_102_444_800,
                "message-group-id": "spring",
                "separator": ";",
                "on-fault": "skip",
                "dry-run": True,
                "requested-by": "李 (CRM), 100 %",
            }
        )
        assert reply.status == 201
        assert upload(reply.content, b"To_Account,Tag\n") == 200
        ((key, content),) = jobs.store.uploads().items()
        assert (key, content) == (reply.content["Key"], b"To_Account,Tag\n")
        assert chosen_id(key) == reply.content["JobId"]
        assert key.endswith("/win back 用户.csv")
        assert read_options(jobs.store.metadata(key)) == Options(
            4_102_444_800.0, "spring", ";", "skip", True, "李 (CRM), 100 %"
        )

    def test_without_fields_all_is_as_by_default(self, jobs: JobsApi) -> None:
        reply = jobs.post({})
        assert reply.content["UploadHeaders"] == {}
        assert reply.content["Key"] == f"inbox/{reply.content['JobId']}/users.csv"
        assert reply.headers["location"] == f"/live/v1/jobs/{reply.content['JobId']}"

    def test_the_url_is_good_for_a_quarter_of_an_hour(self, jobs: JobsApi) -> None:
        reply = jobs.post({})
        left = datetime.fromisoformat(reply.content["ExpiresAt"]).timestamp() - time.time()
        assert 880 < left <= 900
        assert "X-Amz-Expires=900" in reply.content["UploadUrl"]

    def test_the_url_signs_the_options_so_none_can_be_left_out_or_changed(
        self, jobs: JobsApi
    ) -> None:
        reply = jobs.post({"dry-run": True})
        signed = "X-Amz-SignedHeaders=host%3Bx-amz-meta-dry-run"
        assert signed in reply.content["UploadUrl"]

    def test_each_job_gets_an_id_of_its_own(self, jobs: JobsApi) -> None:
        assert len({jobs.post({}).content["JobId"] for _ in range(20)}) == 20

    def test_a_job_that_is_not_uploaded_yet_is_not_there(self, jobs: JobsApi) -> None:
        reply = jobs.post({})
        assert jobs.get(f"/v1/jobs/{reply.content['JobId']}").status == 404

    @pytest.mark.parametrize(
        ("field", "value", "rule"),
        [
            ("file-name", "users.txt", "must end in .csv, .jsonl, .ndjson, or in that and .gz"),
            ("file-name", "../users.csv", "must be the name of a file, without a folder"),
            ("file-name", "a\nb.csv", "must be the name of a file"),
            ("file-name", 7, "must be the name of a file"),
            ("file-name", "\ud800.csv", "must be the name of a file"),
            ("file-name", f"{'é' * 130}.csv", "must be at most 255 bytes of UTF-8"),
            ("not-after", 1, "is in the past: no removal would be made"),
            ("not-after", 1_800_000_000_000, "must be in seconds, not milliseconds"),
            ("not-after", "soon", "must be Unix seconds, or such as 2027-01-31T18:00:00+08:00"),
            ("message-group-id", "two words", "must be at most 128 ASCII letters"),
            ("separator", "", "must be one character"),
            ("on-fault", "go", "must be stop or skip"),
            ("dry-run", "yes", "must be true or false"),
            ("requested-by", "x" * 129, "must be text of at most 128 characters"),
            ("dry_run", True, "must be written dry-run"),
            ("tags", [], "is not an option: one of not-after, "),
        ],
    )
    def test_a_field_that_breaks_a_rule_is_named(
        self, jobs: JobsApi, field: str, value: Any, rule: str
    ) -> None:
        reply = jobs.post({field: value})
        assert reply.status == 400
        [error] = reply.content["errors"]
        assert error["pointer"] == f"/{field}"
        assert rule in error["detail"]
        assert "UploadUrl" not in reply.content

    def test_every_fault_is_named(self, jobs: JobsApi) -> None:
        reply = jobs.post({"file-name": "", "on-fault": "go", "a/b~": 1})
        pointers = [error["pointer"] for error in reply.content["errors"]]
        assert pointers == ["/file-name", "/on-fault", "/a~1b~0"]

    @pytest.mark.parametrize("body", ["", "{", "[]", '{"dry-run":true,"dry-run":false}', "null"])
    def test_a_body_that_is_no_object_is_refused(self, jobs: JobsApi, body: str) -> None:
        reply = jobs.post(body)
        assert (reply.status, reply.content["errors"][0]["pointer"]) == (400, "")

    def test_another_type_than_json_is_refused(self, jobs: JobsApi) -> None:
        reply = jobs.call("POST", "/v1/jobs", "{}", headers={}, multiValueHeaders={})
        assert reply.status == 415


class TestRead:
    def test_a_job_is_its_document_alone(self, jobs: JobsApi) -> None:
        document = jobs.store.put_job("job-1", State="done", EndedAt=ENDED, Users=2, Removed=2)
        reply = jobs.get("/v1/jobs/job-1")
        assert (reply.status, reply.content) == (200, document)

    def test_a_running_job_has_its_figures_as_of_now(self, jobs: JobsApi) -> None:
        jobs.store.put_job("job-1", State="checking")
        assert jobs.get("/v1/jobs/job-1").content == read_job(jobs.store.table, "job-1")

    @pytest.mark.parametrize("job_id", ["job-2", "x" * 500, "job%2D1", "a b"])
    def test_a_job_that_is_not_there_is_404(self, jobs: JobsApi, job_id: str) -> None:
        reply = jobs.get(f"/v1/jobs/{job_id}")
        assert (reply.status, reply.content["title"]) == (404, "Not Found")
        assert reply.headers["content-type"] == "application/problem+json"

    def test_the_latest_are_listed_first(self, jobs: JobsApi) -> None:
        for hour in (10, 12, 11):
            started = f"2026-11-25T{hour}:00:00Z"
            jobs.store.put_job(f"job-{hour}", State="done", StartedAt=started, EndedAt=ENDED)
        listed = jobs.get("/v1/jobs").content["Jobs"]
        assert [job["JobId"] for job in listed] == ["job-12", "job-11", "job-10"]
        assert len(jobs.get("/v1/jobs", limit="2").content["Jobs"]) == 2

    def test_no_jobs_are_an_empty_list(self, jobs: JobsApi) -> None:
        assert jobs.get("/v1/jobs").content == {"Jobs": []}

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "\u0661"])
    def test_a_limit_out_of_bounds_is_refused(self, jobs: JobsApi, limit: str) -> None:
        reply = jobs.get("/v1/jobs", limit=limit)
        assert (reply.status, reply.content["detail"]) == (
            400,
            "limit must be a number from 1 to 100",
        )


class TestStop:
    def test_a_running_job_is_stopped_and_says_by_whom(self, jobs: JobsApi) -> None:
        jobs.store.put_job("job-1", State="sending")
        reply = jobs.delete("/v1/jobs/job-1")
        assert (reply.status, reply.content["State"]) == (202, "stopped")
        assert reply.content["Reason"] == f"stopped by {CALLER}"

    def test_stopping_again_changes_nothing(self, jobs: JobsApi) -> None:
        jobs.store.put_job("job-1", State="stopped", Reason="first")
        reply = jobs.delete("/v1/jobs/job-1")
        assert (reply.status, reply.content["Reason"]) == (202, "first")

    @pytest.mark.parametrize("state", ["done", "failed", "stopped"])
    def test_a_job_that_has_ended_is_409_and_stays(self, jobs: JobsApi, state: str) -> None:
        document = jobs.store.put_job("job-1", State=state, EndedAt=ENDED)
        reply = jobs.delete("/v1/jobs/job-1")
        assert (reply.status, reply.content["detail"]) == (409, f"the job has ended: {state}")
        assert read_job(jobs.store.table, "job-1") == document

    def test_a_job_that_is_not_there_is_404(self, jobs: JobsApi) -> None:
        assert jobs.delete("/v1/jobs/job-1").status == 404


class TestFaults:
    @pytest.mark.parametrize("variable", ["JOBS_TABLE", "JOBS_BUCKET"])
    def test_a_missing_setting_is_500_without_internals(
        self, jobs: JobsApi, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.delenv(variable)
        with captured(app.logger) as written:
            reply = jobs.get("/v1/jobs") if variable == "JOBS_TABLE" else jobs.post({})
        assert reply.status == 500
        assert reply.content["detail"] == "unexpected error: it is safe to send again"
        assert f"{variable} is missing" in json.loads(written.getvalue())["exception"]

    def test_a_table_that_is_gone_is_500(
        self, jobs: JobsApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOBS_TABLE", "gone")
        assert jobs.get("/v1/jobs/job-1").status == 500

    def test_another_method_is_not_found(self, jobs: JobsApi) -> None:
        assert jobs.call("PUT", "/v1/jobs", {}).status == 404
