"""Saved queries of CloudWatch Logs Insights, held against lines that the functions log."""

import json
import re

import pytest

from remove_tags_api import app as endpoint_app
from remove_tags_api import environment
from remove_tags_worker import app
from support.api import Api, document, users
from support.rotation import captured
from support.worker import Worker, body, sqs_event
from template.translate import TEMPLATES, load
from timpush_server import Fault

INSIGHTS_OWN = {"@timestamp", "@log", "@message"}
QUERIES = {
    name: one["Properties"]["QueryString"]
    for name, one in load(TEMPLATES["monitoring"])["Resources"].items()
    if one["Type"] == "AWS::Logs::QueryDefinition"
}


def settled(worker: Worker, attributes: dict[str, str], *bodies: str) -> list[str]:
    """The lines that one invocation logs, messages with these attributes."""
    event = sqs_event(bodies)
    for record in event["Records"]:
        record["messageAttributes"] = {k: {"stringValue": v} for k, v in attributes.items()}
    with captured(app.logger) as log:
        worker.handle(event)
    return log.getvalue().splitlines()


def requested(worker: Worker, count: int) -> list[str]:
    """The lines that a request of so many users logs."""
    api = Api(worker.timpush, worker.sqs, worker.secrets, worker.queue_url, worker.secret_id)
    environment.make_endpoint.cache_clear()
    with captured(endpoint_app.logger) as log:
        api.post(document(users(count)))
    return log.getvalue().splitlines()


@pytest.fixture
def logged(worker: Worker) -> list[str]:
    """Lines of each kind: settled, refused, dead-lettered, of the worker and of the endpoint."""
    worker.know({"user-0": ["gold"]})
    worker.timpush.account_codes["busy"] = 61234
    bodies = [body({name: ["gold"]}) for name in ("user-0", "busy", "unknown")]
    attributes = {"JobId": "20261124T020000Z-1f3a", "RequestId": "request-9"}
    lines = settled(worker, attributes, *bodies)
    worker.timpush.inject(Fault("code", code=60007))
    return lines + requested(worker, 2)


def named(query: str) -> set[str]:
    """The fields of log lines that a query names: those it makes itself are left out."""
    text = re.sub(r'"[^"]*"|/(?:[^/\\]|\\.)*/|^#.*$', "", query, flags=re.MULTILINE)
    made = set(re.findall(r"\bas (\w+)", text)) | set(re.findall(r"\(\?<(\w+)>", query))
    words = set(re.findall(r"@?\b[a-z_]+\b", text)) - made
    return words - KEYWORDS - INSIGHTS_OWN


KEYWORDS = frozenset(
    {"fields", "filter", "like", "and", "in", "sort", "asc", "desc", "limit", "parse", "stats"}
    | {"by", "as", "max", "sum", "latest", "coalesce", "bin", "m"}
)


def test_there_are_the_three_that_an_operator_needs() -> None:
    assert set(QUERIES) == {
        "OneRequestQuery",
        "FailuresQuery",
        "SlowestCallsQuery",
    }


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_each_field_that_it_names_is_in_some_line(name: str, logged: list[str]) -> None:
    keys = {key for line in logged for key in json.loads(line)}
    fields = named(QUERIES[name])
    assert fields
    assert fields <= keys


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_each_message_that_it_looks_for_is_logged(name: str, logged: list[str]) -> None:
    messages = {json.loads(line)["message"] for line in logged}
    lists = re.findall(r"message (?:= |in )(\[.*?\]|\".*?\")", QUERIES[name])
    wanted = {text for found in lists for text in re.findall(r'"(.*?)"', found)}
    assert wanted <= messages
    assert wanted or name == "OneRequestQuery"


def test_a_requests_id_finds_its_lines(logged: list[str]) -> None:
    assert '@message like "ID"' in QUERIES["OneRequestQuery"]
    found = [json.loads(line)["message"] for line in logged if "request-9" in line]
    assert {"batch settled", "message parked"} <= set(found)


def test_a_jobs_id_finds_its_lines(logged: list[str]) -> None:
    found = [json.loads(line)["message"] for line in logged if "20261124T020000Z-1f3a" in line]
    assert {"batch settled", "message parked"} <= set(found)


def test_the_slowest_call_has_its_milliseconds(worker: Worker) -> None:
    worker.know({"user-0": ["gold"]})
    worker.timpush.latency = 0.2
    lines = [json.loads(line) for line in settled(worker, {}, body({"user-0": ["gold"]}))]
    (slowest,) = (one["slowest_call_ms"] for one in lines if one["message"] == "batch settled")
    assert 200 <= slowest <= 5_000
