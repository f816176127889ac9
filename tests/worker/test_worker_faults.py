"""The worker's function when TIMPush, the secret or the settings fail."""

import time
from typing import Any

import pytest

from remove_tags_worker import app
from support.rotation import captured
from support.worker import Worker, body
from timpush.errors import SettingsError
from timpush_server import Fault

ONE = body({"user": ["gold"]})
# Each kind of odd reply is a unit test's; these show that the worker asks for it.
NONSENSE = [
    b'{"ErrorCode": 0}',
    b'{"ActionStatus": "OK", "ErrorCode": 0, "ErrorList": null}',
    b'{"ActionStatus": "OK", "ErrorCode": 0, "ErrorList": [{"To_Account": "x", "ErrorCode": 1}]}',
]


@pytest.fixture(autouse=True)
def known(worker: Worker) -> None:
    worker.know({"user": ["gold"]})


@pytest.mark.parametrize("reply", NONSENSE)
def test_a_reply_without_sense_is_never_taken_for_success(worker: Worker, reply: bytes) -> None:
    # Given a call that is answered so, its work not done
    worker.timpush.inject(Fault("body", body=reply))
    # When the message comes, then the call is made again
    assert worker.remove(ONE) == []
    assert len(worker.timpush.received) == 2
    assert worker.timpush.tags["user"] == set()
    assert worker.dead_letters() == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop"),
        Fault("garbage"),
        Fault("lost_reply"),
        Fault("status", status=502),
        Fault("status", status=302),
        Fault("status", status=404),
        Fault("code", code=91000),
        Fault("code", code=60004),
        Fault("code", code=60008),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code or fault.status}",
)
def test_a_passing_fault_is_ridden_out(worker: Worker, fault: Fault) -> None:
    worker.timpush.inject(fault)
    assert worker.remove(ONE) == []
    assert worker.timpush.tags["user"] == set()


@pytest.mark.parametrize("code", [60007, 60011, 60018, 60019])
def test_a_rate_limit_is_ridden_out(worker: Worker, code: int) -> None:
    worker.timpush.inject(Fault("code", code=code))
    assert worker.remove(ONE) == []
    assert len(worker.timpush.received) == 2


@pytest.mark.parametrize("code", [60026, 60006, 80005, 90045, 60009])
def test_a_configuration_fault_is_few_calls_and_dead_letters_nothing(
    worker: Worker, code: int
) -> None:
    worker.timpush.set_fault(Fault("code", code=code))
    bodies = [body({f"user-{number}": ["gold"]}) for number in range(300)]
    assert len(worker.remove(*bodies)) == 300
    assert 1 <= len(worker.timpush.received) <= 4  # the later ones are probes
    assert worker.dead_letters() == []


def test_an_unknown_code_returns_the_users_it_follows(worker: Worker) -> None:
    worker.know({"strange": ["gold"]})
    worker.timpush.refused_accounts["strange"] = 61234
    assert worker.remove(ONE, body({"strange": ["gold"]})) == ["m1"]
    assert worker.timpush.tags["user"] == set()
    assert worker.dead_letters() == []


def test_a_timpush_that_never_answers_gets_few_calls(worker: Worker) -> None:
    worker.timpush.set_fault(Fault("drop"))
    bodies = [body({f"user-{number}": ["gold"]}) for number in range(1_000)]
    assert len(worker.remove(*bodies)) == 1_000
    assert len(worker.timpush.received) <= 5


def test_a_kept_connection_that_the_server_closed_costs_nothing(worker: Worker) -> None:
    # Given an invocation that left a kept connection, which the server drops on its next use
    assert worker.remove(ONE) == []
    worker.timpush.inject(Fault("drop"))
    # When the next one comes, it is repeated at once and nothing returns
    assert worker.remove(ONE) == []
    assert [call.fault for call in worker.timpush.received] == ["", "drop", ""]


def test_a_hanging_timpush_does_not_outlast_the_deadline(worker: Worker) -> None:
    worker.timpush.set_fault(Fault("hang", seconds=60))
    started = time.monotonic()
    assert worker.remove(ONE, seconds=8.0) == ["m0"]
    assert time.monotonic() - started < 8.0


def test_no_call_starts_that_cannot_be_finished(worker: Worker) -> None:
    assert worker.remove(ONE, seconds=3.0) == ["m0"]
    assert worker.timpush.received == []


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ('{"sdkappid": 0, "identifier": "", "usersig": ""}', "sdkappid"),
        ("no JSON", "JSON object"),
        ("[]", "JSON object"),
        ('{"sdkappid": 1400000000, "identifier": "administrator"}', "usersig"),
        (
            '{"sdkappid": 1400000000, "identifier": "administrator", "usersig": "eJx"}',
            "cannot be decoded",
        ),
    ],
)
def test_a_bad_secret_is_never_sent(worker: Worker, secret: str, says: str) -> None:
    worker.store_secret(secret)
    with captured(app.logger) as log:
        assert worker.remove(ONE) == ["m0"]
    assert worker.timpush.received == []
    assert says in log.getvalue()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"identifier": "somebody"}, "identifier"),
        ({"sdkappid": 1400000001}, "sdkappid"),
        ({"expire": 10, "time": 1_600_000_000}, "expired"),
    ],
)
def test_a_usersig_that_does_not_fit_is_never_sent(
    worker: Worker, changed: dict[str, Any], says: str
) -> None:
    usersig = worker.timpush.usersig(**changed)
    worker.store_secret(
        f'{{"sdkappid": 1400000000, "identifier": "administrator", "usersig": "{usersig}"}}'
    )
    with captured(app.logger) as log:
        assert worker.remove(ONE) == ["m0"]
    assert worker.timpush.received == []
    assert says in log.getvalue()


def test_a_refused_usersig_is_tried_once_and_a_new_one_is_picked_up(worker: Worker) -> None:
    # Given a secret signed with another key
    worker.store_secret(worker.timpush.secret(key="another key"))
    bodies = [body({f"user-{number}": ["gold"]}) for number in range(300)]
    # When three invocations come, a single call was made
    for _ in range(3):
        assert len(worker.remove(*bodies)) == 300
    assert [call.code for call in worker.timpush.received] == [70009]
    # And once the right one is stored, the next invocation works
    worker.store_secret(worker.timpush.secret())
    assert worker.remove(ONE) == []


def test_a_secret_renewed_meanwhile_is_used_in_the_same_invocation(worker: Worker) -> None:
    # Given an environment that holds a UserSig which TIMPush refuses from now on
    assert worker.remove(ONE) == []
    worker.store_secret(worker.timpush.secret(expire=3_600))
    worker.timpush.inject(Fault("code", code=70001))
    # When the next batch comes, it is done with the new one
    worker.know({"user": ["gold"]})
    assert worker.remove(ONE) == []
    assert len({call.query["usersig"] for call in worker.timpush.received}) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMPUSH_REGION", None),
        ("TIMPUSH_REGION", "mars"),
        ("TIMPUSH_SECRET_ID", None),
        ("TIMPUSH_CALLS_PER_SECOND", "0"),
        ("TIMPUSH_CALLS_PER_SECOND", "many"),
        ("TIMPUSH_CALLS_PER_SECOND", "1"),
        ("WORKER_CONCURRENCY", None),
        ("QUEUE_URL", None),
        ("DEAD_LETTER_QUEUE_URL", "no-url"),
        ("TIMPUSH_ENDPOINT_URL", "http://example.com"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        worker.remove(ONE)
    assert worker.timpush.received == []
