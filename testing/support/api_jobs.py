"""The endpoint's routes of jobs, on a bucket and a table of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from remove_tags_api import jobs
from support.api import JSON, Api, Reply, api_event
from support.job_store import JobStore, job_store

CALLER = "arn:aws:iam::123456789012:user/ann"


@dataclass(frozen=True)
class JobsApi:
    """The function, with what its routes of jobs stand on."""

    api: Api
    store: JobStore

    def call(self, method: str, path: str, body: Any = None, **changes: Any) -> Reply:
        """One request as API Gateway hands it over."""
        event = api_event(body, JSON if body is not None else {}, httpMethod=method, path=path)
        event["requestContext"] |= {
            "httpMethod": method,
            "path": f"/live{path}",
            "identity": {"userArn": CALLER},
        }
        return self.api.send(event | changes)

    def get(self, path: str, **query: str) -> Reply:
        return self.call("GET", path, queryStringParameters=query or None)

    def post(self, body: Any) -> Reply:
        return self.call("POST", "/v1/jobs", body)

    def delete(self, path: str) -> Reply:
        return self.call("DELETE", path)


@contextmanager
def serving_jobs(api: Api, set_variable: Callable[[str, str], None]) -> Iterator[JobsApi]:
    """The routes with an empty bucket and table, their environment variables set."""
    with job_store() as store:
        set_variable("JOBS_BUCKET", store.bucket)
        set_variable("JOBS_TABLE", store.table.name)
        jobs.presigner.cache_clear()
        jobs.make_table.cache_clear()
        yield JobsApi(api, store)
