"""docs/openapi.yaml says what the routes of jobs do: each reply, each example, which bodies."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from remove_tags_api.jobs import MAX_FILE_NAME_BYTES, MAX_JOBS
from remove_tags_api.request import MAX_BODY_BYTES
from support.api import Api, Reply
from support.api_jobs import JobsApi, serving_jobs
from support.examples import EXAMPLES
from support.openapi import SPEC, check, conforms, wrong_examples
from timpush.jobs.options import MAX_REQUESTED_BY, NAMES
from timpush.jobs.state import Document

LIST, ONE = "/v1/jobs", "/v1/jobs/{id}"
OPERATIONS = [(LIST, "post"), (LIST, "get"), (ONE, "get"), (ONE, "delete")]
OF_API_GATEWAY = {"403", "429", "504"}
ENDED = "2026-11-25T12:01:00Z"


@pytest.fixture
def jobs(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsApi]:
    with serving_jobs(api, monkeypatch.setenv) as made:
        yield made


def with_a_job(call: Callable[[JobsApi], Reply], **values: Any) -> Callable[[JobsApi], Reply]:
    def ask(jobs: JobsApi) -> Reply:
        jobs.store.put_job("job-1", **values)
        return call(jobs)

    return ask


def without_a_table(call: Callable[[JobsApi], Reply]) -> Callable[[JobsApi], Reply]:
    def ask(jobs: JobsApi) -> Reply:
        jobs.store.table.client.delete_table(TableName=jobs.store.table.name)
        return call(jobs)

    return ask


def too_large(jobs: JobsApi) -> Reply:
    return jobs.post(" " * (MAX_BODY_BYTES + 1))


def wrong_type(jobs: JobsApi) -> Reply:
    return jobs.call("POST", LIST, "{}", headers={}, multiValueHeaders={})


def listed(jobs: JobsApi) -> Reply:
    return jobs.get(LIST)


def read(jobs: JobsApi) -> Reply:
    return jobs.get("/v1/jobs/job-1")


def stop(jobs: JobsApi) -> Reply:
    return jobs.delete("/v1/jobs/job-1")


CASES: list[tuple[str, str, int, Callable[[JobsApi], Reply]]] = [
    (LIST, "post", 201, lambda jobs: jobs.post({"file-name": "a.csv.gz", "on-fault": "skip"})),
    (LIST, "post", 400, lambda jobs: jobs.post({"file-name": 7, "not-after": 1})),
    (LIST, "post", 400, lambda jobs: jobs.post({str(number): 1 for number in range(100)})),
    (LIST, "post", 413, too_large),
    (LIST, "post", 415, wrong_type),
    (LIST, "get", 200, with_a_job(listed)),
    (LIST, "get", 200, with_a_job(listed, State="done", EndedAt=ENDED)),
    (LIST, "get", 400, lambda jobs: jobs.get(LIST, limit="0")),
    (LIST, "get", 500, without_a_table(listed)),
    (ONE, "get", 200, with_a_job(read)),
    (ONE, "get", 200, with_a_job(read, State="failed", Reason="line 1", EndedAt=ENDED)),
    (ONE, "get", 404, read),
    (ONE, "get", 500, without_a_table(read)),
    (ONE, "delete", 202, with_a_job(stop, State="settling")),
    (ONE, "delete", 404, stop),
    (ONE, "delete", 409, with_a_job(stop, State="done", EndedAt=ENDED)),
    (ONE, "delete", 500, without_a_table(stop)),
]


@pytest.mark.parametrize(("path", "method", "status", "ask"), CASES)
def test_each_reply_is_as_described(
    jobs: JobsApi, path: str, method: str, status: int, ask: Callable[[JobsApi], Reply]
) -> None:
    reply = ask(jobs)
    assert reply.status == status
    check(reply, path, method)


def test_a_missing_setting_is_as_described(jobs: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_BUCKET")
    reply = jobs.post({})
    assert reply.status == 500
    check(reply, LIST, "post")


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_described_are_the_statuses_of_the_function_and_of_api_gateway_alone(
    path: str, method: str
) -> None:
    found = {str(status) for at, verb, status, _ in CASES if (at, verb) == (path, method)}
    assert set(SPEC["paths"][path][method]["responses"]) == found | OF_API_GATEWAY | {"500"}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_each_example_of_a_reply_is_as_described(path: str, method: str) -> None:
    assert wrong_examples(path, method) == []


def test_each_example_of_a_request_is_taken(jobs: JobsApi) -> None:
    content = SPEC["paths"][LIST]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        assert conforms(example["value"], "components", "schemas", "JobRequest") == []
        assert jobs.post(example["value"]).status == 201


def test_the_document_names_each_option_each_field_and_each_limit() -> None:
    request = SPEC["components"]["schemas"]["JobRequest"]["properties"]
    assert set(request) == {"file-name", *NAMES}
    assert request["requested-by"]["maxLength"] == MAX_REQUESTED_BY
    assert request["file-name"]["maxLength"] == MAX_FILE_NAME_BYTES
    job = SPEC["components"]["schemas"]["Job"]
    assert set(job["properties"]) == set(job["required"]) == set(Document.__annotations__)
    (limit,) = SPEC["paths"][LIST]["get"]["parameters"]
    assert limit["schema"]["maximum"] == MAX_JOBS


text = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=6)
values: dict[str, st.SearchStrategy[Any]] = {
    "file-name": st.sampled_from(["a.csv", "A.JSONL.GZ", "a.txt", "a/b.csv", "", "b.ndjson"]),
    "not-after": st.sampled_from([4e9, 4_102_444_800, True, None, [], 10**400]),
    "message-group-id": text | st.just("x" * 129) | st.just("two words"),
    "separator": text | st.sampled_from([";", "\t", "é", '"', "\n", "||"]),
    "on-fault": st.sampled_from(["stop", "skip", "Stop", None, 1]),
    "dry-run": st.sampled_from([True, False, "true", "false", "yes", 0, None]),
    "requested-by": text | st.just("x" * 129) | st.integers(),
    "other": st.none(),
}
bodies = st.fixed_dictionaries({}, optional=values)


def test_bodies_are_taken_if_and_only_if_the_schema_allows_them(jobs: JobsApi) -> None:
    @EXAMPLES
    @given(body=bodies | st.lists(st.none()) | text)
    def taken_if_allowed(body: Any) -> None:
        reply = jobs.post(json.dumps(body))
        check(reply, LIST, "post")
        allowed = conforms(body, "components", "schemas", "JobRequest") == []
        event(f"allowed: {allowed}")
        assert reply.status == (201 if allowed else 400)

    taken_if_allowed()
