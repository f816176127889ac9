"""The metrics that each function emits are those of the one list, no more and no fewer."""

import json
from typing import Any

import pytest

from remove_tags_api import environment
from support.api import Api, document, users
from support.worker import Worker, body
from timpush.errors import CallError
from timpush.metrics import ENDPOINT, HANDED_BACK, NAMESPACE, WORKER, Metric
from timpush_server import Fault

Emitted = dict[str, list[float]]


def emitted(printed: str) -> tuple[Emitted, dict[str, str]]:
    """The values and the units of each metric in what was printed."""
    values: Emitted = {}
    units: dict[str, str] = {}
    for blob in (json.loads(line) for line in printed.splitlines() if '"_aws"' in line):
        (described,) = blob["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == NAMESPACE
        for metric in described["Metrics"]:
            values.setdefault(metric["Name"], []).extend(blob[metric["Name"]])
            units[metric["Name"]] = metric["Unit"]
    return values, units


def names_and_units(metrics: dict[str, Metric]) -> dict[str, str]:
    return {name: metric.unit for name, metric in metrics.items()}


@pytest.fixture
def api(worker: Worker) -> Api:
    environment.make_endpoint.cache_clear()
    return Api(worker.timpush, worker.sqs, worker.secrets, worker.queue_url, worker.secret_id)


def test_the_worker_emits_each_metric_of_its_list(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.know({"user": ["gold"]})
    worker.remove(body({"user": ["gold"]}))
    _, units = emitted(capfd.readouterr().out)
    assert units == names_and_units(WORKER)


def test_the_endpoint_emits_each_metric_of_its_list(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    api.post(document(users(1)))
    _, units = emitted(capfd.readouterr().out)
    assert units == names_and_units(ENDPOINT)


def test_each_call_has_its_users_and_its_latency(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.timpush.latency = 0.05
    worker.remove(*(body({f"user-{number}": ["gold"]}) for number in range(250)))
    values, _ = emitted(capfd.readouterr().out)
    assert sorted(values["UsersPerCall"]) == [50, 100, 100]
    assert len(values["CallLatency"]) == 3
    assert all(50 <= one <= 5_000 for one in values["CallLatency"])
    assert values["Calls"] == [3]


def test_more_calls_than_a_line_holds_are_all_there(
    worker: Worker, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "1")
    bodies = [body({f"{call}-{user}": ["gold"] for user in range(100)}) for call in range(130)]
    worker.remove(*bodies, seconds=60)  # also on a busy machine
    values, _ = emitted(capfd.readouterr().out)
    assert values["UsersPerCall"] == [100] * 130
    assert len(values["CallLatency"]) == 130
    assert values["Calls"] == [130]


def test_only_the_first_invocation_is_a_cold_start(
    worker: Worker, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    found: list[Any] = []
    for _ in range(2):
        worker.remove(body({"user": ["gold"]}))
        found.append(emitted(capfd.readouterr().out)[0]["ColdStarts"])
        api.post(document(users(1)))
        found.append(emitted(capfd.readouterr().out)[0]["ColdStarts"])
    assert found == [[1], [1], [0], [0]]


def test_dead_lettered_users_are_counted_by_class(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    late = body({"a": ["gold"], "b": ["gold"]}, NotAfter=1)
    worker.remove(body({"unknown": ["gold"]}), late, "{", "[]", "7")
    values, _ = emitted(capfd.readouterr().out)
    classes = ("UsersParked", "UsersParkedInput", "UsersParkedExpired", "MessagesParkedMalformed")
    assert {name: values[name] for name in classes} == {
        "UsersParked": [3],
        "UsersParkedInput": [1],
        "UsersParkedExpired": [2],
        "MessagesParkedMalformed": [3],
    }


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (60026, "HandedBackConfiguration", "ConfigurationErrors"),
        (70001, "HandedBackCredentials", "CredentialErrors"),
        (60007, "HandedBackRateLimited", "RateLimited"),
        (91000, "HandedBackTransient", "CallsFailed"),
        (61234, "HandedBackUnknown", "CallsFailed"),
    ],
)
def test_each_class_of_refusal_is_counted_by_worker_and_endpoint(
    worker: Worker,
    api: Api,
    capfd: pytest.CaptureFixture[str],
    code: int,
    reason: str,
    error: str,
) -> None:
    worker.timpush.set_fault(Fault("code", code=code))
    worker.remove(body({"user": ["gold"]}))
    values, _ = emitted(capfd.readouterr().out)
    reasons = {name: values[name][0] for name in HANDED_BACK.values()}
    assert {name for name, count in reasons.items() if count} == {reason}
    assert sum(reasons.values()) == values["MessagesHandedBack"][0] == 1
    assert values[error][0] >= 1
    api.post(document(users(2)))
    values, _ = emitted(capfd.readouterr().out)
    assert values[error] == [1]


def test_listed_users_count_as_errors_of_their_class(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.timpush.account_codes |= {"a": 60026, "b": 70001}
    worker.remove(body({"a": ["gold"], "b": ["gold"]}))
    values, _ = emitted(capfd.readouterr().out)
    assert (values["ConfigurationErrors"], values["CredentialErrors"]) == ([1], [1])


def test_timpush_is_down_or_not_only_where_a_call_says_so(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    def down(*bodies: str) -> list[float] | None:
        worker.remove(*bodies, seconds=18.0)
        found: list[float] | None = emitted(capfd.readouterr().out)[0].get("TimPushDown")
        return found

    bodies = [body({f"user-{number}": ["gold"]}) for number in range(300)]
    assert down("{", body({"late": ["gold"]}, NotAfter=1)) is None  # no call was made
    worker.timpush.set_fault(Fault("code", code=91000))
    assert down(*bodies) == [1]
    worker.timpush.set_fault(None)
    assert down(*bodies) == [0]


def test_each_class_of_error_has_a_reason_that_is_counted() -> None:
    labels = {one.label for one in CallError.__subclasses__()} - {"input"}
    assert labels <= set(HANDED_BACK)
    assert set(HANDED_BACK.values()) <= set(WORKER)


ERRORS = {"CredentialErrors", "ConfigurationErrors"}


def test_an_invocation_without_calls_says_nothing_of_errors_that_only_calls_prove(
    worker: Worker, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.timpush.set_fault(Fault("code", code=60026))
    worker.remove("{", body({"late": ["gold"]}, NotAfter=1))
    values, _ = emitted(capfd.readouterr().out)
    assert values["Calls"] == [0]
    assert not ERRORS & set(values)
    api.post(document(users(101)))  # more than a call: queued
    values, _ = emitted(capfd.readouterr().out)
    assert values["Calls"] == [0]
    assert not ERRORS & set(values)


def test_a_refused_usersig_that_is_held_back_still_counts(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.timpush.set_fault(Fault("code", code=70001))
    found = []
    for _ in range(4):  # a refused one is tried once a minute
        worker.remove(body({"user": ["gold"]}))
        found.append(emitted(capfd.readouterr().out)[0])
    assert all(one["CredentialErrors"][0] >= 1 for one in found)
    assert found[-1]["Calls"] == [0]


def test_listed_users_of_a_request_count_as_errors_of_their_class(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    api.timpush.account_codes |= {"user-0": 60026, "user-1": 70001, "user-2": 60007}
    api.post(document(users(3)))
    values, _ = emitted(capfd.readouterr().out)
    counted = ("ConfigurationErrors", "CredentialErrors", "RateLimited")
    assert [values[name] for name in counted] == [[1], [1], [1]]
