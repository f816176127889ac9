"""The worker's environment variables: read when it works, and named when they cannot be."""

import pytest

from support.worker import Worker, body
from timpush.errors import SettingsError

ONE = body({"user": ["gold"]})


def test_one_error_names_everything_that_is_missing_or_impossible(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TIMPUSH_SECRET_ID", "QUEUE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIMPUSH_REGION", "moon")
    monkeypatch.setenv("WORKER_CONCURRENCY", "0")
    with pytest.raises(SettingsError) as raised:
        worker.remove(ONE)
    text = str(raised.value)
    named = ("TIMPUSH_SECRET_ID", "QUEUE_URL", "TIMPUSH_REGION", "WORKER_CONCURRENCY")
    assert all(name in text for name in named)
    assert "TIMPUSH_CALLS_PER_SECOND" not in text
    assert "DEAD_LETTER_QUEUE_URL" not in text


def test_a_corrected_setting_works_in_the_same_environment(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.know({"user": ["gold"]})
    monkeypatch.setenv("WORKER_CONCURRENCY", "none")
    with pytest.raises(SettingsError, match="WORKER_CONCURRENCY"):
        worker.remove(ONE)
    monkeypatch.setenv("WORKER_CONCURRENCY", "2")
    assert worker.remove(ONE) == []


def test_a_budget_that_gives_no_environment_a_call_a_second_is_an_error(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMPUSH_CALLS_PER_SECOND", "9")
    monkeypatch.setenv("WORKER_CONCURRENCY", "10")
    with pytest.raises(SettingsError, match=r"TIMPUSH_CALLS_PER_SECOND.*WORKER_CONCURRENCY"):
        worker.remove(ONE)


def test_an_empty_endpoint_means_the_host_of_the_region(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given no endpoint, and a secret that stops the worker before any call
    monkeypatch.setenv("TIMPUSH_ENDPOINT_URL", "")
    worker.store_secret("{}")
    # Then it starts all the same
    assert worker.remove(ONE) == ["m0"]
