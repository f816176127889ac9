"""What the endpoint logs and counts, one id from request to dead letter, and no UserSig."""

import json
import os
from typing import Any
from urllib.parse import quote_plus

import pytest

from remove_tags_api import app, environment
from remove_tags_worker import app as worker_app
from support.api import REQUEST_ID, Api, document, losing, users
from support.log_levels import everything_at_debug, holds
from support.printed import printed
from support.rotation import captured
from support.worker import Worker, record
from timpush.metrics import ENDPOINT, counters
from timpush.settings import read_api_settings
from timpush_server import Fault

FAULTS = [
    Fault("drop"),
    Fault("garbage"),
    Fault("status"),
    Fault("lost_reply"),
    Fault("code", code=91000),
    Fault("code", code=60007),
    Fault("code", code=70001),
    Fault("code", code=60026),
    Fault("code", code=61234),
    Fault("code", code=90034),
]


def lines(api: Api, *requests: Any) -> list[dict[str, Any]]:
    """What the function logs while it answers these bodies."""
    with captured(app.logger) as logged:
        for body in requests:
            api.post(body)
    return [json.loads(line) for line in logged.getvalue().splitlines()]


class TestLines:
    def test_a_settled_request_is_one_line_with_its_id_and_counts(self, api: Api) -> None:
        api.timpush.tags = {"user-0": {"tag-0"}}
        api.timpush.account_codes = {"user-1": 70169}

        (line,) = lines(api, document(users(3)))

        assert (line["request_id"], line["function_request_id"]) == (REQUEST_ID, "request-1")
        names = ("users", "calls", "removed", "failed", "queued", "unaccounted")
        assert {name: line[name] for name in names} == {
            "users": 3,
            "calls": 1,
            "removed": 1,
            "failed": {"70107": 1},
            "queued": {"transient": 1},
            "unaccounted": 0,
        }
        assert line["duration_ms"] >= 0

    @pytest.mark.parametrize(
        ("code", "level"), [(70169, "WARNING"), (60007, "WARNING"), (60026, "ERROR")]
    )
    def test_a_call_that_failed_has_a_line_with_its_code(
        self, api: Api, code: int, level: str
    ) -> None:
        api.timpush.inject(Fault("code", code=code, info="said TIMPush"))

        line, _ = lines(api, document(users(1)))

        assert (line["level"], line["error_code"], line["error_info"]) == (
            level,
            code,
            "said TIMPush",
        )

    def test_a_secret_that_cannot_be_used_is_an_error_that_says_how_to_fix_it(
        self, api: Api
    ) -> None:
        api.store_secret(api.timpush.secret(time=1_600_000_000, expire=60))

        line, _ = lines(api, document(users(1)))

        assert line["level"] == "ERROR"
        assert "expired" in line["error_info"]

    def test_users_that_are_not_accounted_for_are_an_error(self, api: Api) -> None:
        with api.queue_fault(losing(lambda _: True)):
            line = lines(api, document(users(250)))[-1]

        assert (line["level"], line["unaccounted"]) == ("ERROR", 250)

    def test_no_line_names_an_account(self, api: Api) -> None:
        api.timpush.account_codes = {"somebody": 70169}
        rows = document({"somebody": ["tag"], "nobody": ["tag"]})

        logged = lines(api, rows, {"UserTags": [{"To_Account": "somebody", "Tags": 1}]})

        assert len(logged) == 2
        assert "somebody" not in json.dumps(logged)
        assert "nobody" not in json.dumps(logged)


def metrics(written: str) -> dict[str, float]:
    """The metrics of the only EMF line."""
    (emf,) = (one for one in map(json.loads, written.splitlines()) if "_aws" in one)
    names = [one["Name"] for one in emf["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    return {name: emf[name][0] for name in names}


class TestMetrics:
    def test_users_are_counted_by_their_end(
        self, api: Api, capsys: pytest.CaptureFixture[str]
    ) -> None:
        api.timpush.tags = {"user-0": {"tag-0"}}
        api.timpush.account_codes = {"user-1": 60007, "user-2": 70107}

        api.post(document(users(3)))

        counted = metrics(capsys.readouterr().out)
        assert {name: counted[name] for name in counters(ENDPOINT, counted)} == {
            "UsersRemoved": 1,
            "UsersFailed": 1,
            "UsersQueued": 1,
            "UsersUnaccounted": 0,
            "Calls": 1,
            "CallsFailed": 0,
            "RateLimited": 1,
            "CredentialErrors": 0,
            "ConfigurationErrors": 0,
            "ColdStarts": 1,
        }

    def test_a_refused_usersig_is_counted(
        self, api: Api, capsys: pytest.CaptureFixture[str]
    ) -> None:
        api.timpush.inject(Fault("code", code=70001))

        with api.queue_fault(losing(lambda _: True)):
            api.post(document(users(2)))

        counted = metrics(capsys.readouterr().out)
        assert (counted["Calls"], counted["CallsFailed"], counted["CredentialErrors"]) == (1, 1, 1)
        assert (counted["UsersQueued"], counted["UsersUnaccounted"]) == (0, 2)

    def test_a_secret_that_cannot_be_read_is_counted_without_a_call(
        self, api: Api, capsys: pytest.CaptureFixture[str]
    ) -> None:
        api.secrets.delete_secret(SecretId=api.secret_id, ForceDeleteWithoutRecovery=True)

        api.post(document(users(2)))

        counted = metrics(capsys.readouterr().out)
        assert (counted["Calls"], counted["CallsFailed"], counted["CredentialErrors"]) == (0, 0, 1)


class TestRequestId:
    @pytest.fixture
    def api(self, worker: Worker) -> Api:
        """The endpoint in front of the worker's queue."""
        return Api(worker.timpush, worker.sqs, worker.secrets, worker.queue_url, worker.secret_id)

    def deliver(self, api: Api, worker: Worker) -> str:
        """Hand what the endpoint queued to the worker; what the worker logs."""
        event = {"Records": [self.received(one) for one in api.messages()]}
        assert event["Records"]
        with captured(worker_app.logger) as logged:
            assert worker.handle(event) == []
        return logged.getvalue()

    def received(self, message: dict[str, Any]) -> dict[str, Any]:
        """A record of an SQS event with the attributes of a message."""
        attributes = {
            name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
            for name, value in message["MessageAttributes"].items()
        }
        made = record(message["MessageId"], message["Body"], handle=message["ReceiptHandle"])
        return made | {"messageAttributes": attributes}

    def test_follows_a_user_through_the_queue_to_the_dead_letter(
        self, api: Api, worker: Worker
    ) -> None:
        # Given a request that was queued, of a user whose tag can never be removed
        worker.know({"user-0": ["tag-0"]})
        worker.timpush.refused_tags["tag-0"] = 90034
        api.post(document(users(1)), {"Prefer": "respond-async"})
        # When the worker dead-letters the user
        logged = self.deliver(api, worker)
        # Then the id is on the dead letter and in the line about it
        ((_, attributes),) = worker.dead_letters()
        assert attributes["RequestId"] == REQUEST_ID
        dead_letters = [
            one for one in map(json.loads, logged.splitlines()) if "parked" in one["message"]
        ]
        assert [line["request_id"] for line in dead_letters] == [REQUEST_ID]

    def test_follows_a_user_through_the_queue_to_the_removal(
        self, api: Api, worker: Worker
    ) -> None:
        worker.know(users(3))
        api.timpush.inject(Fault("drop"))
        assert api.post(document(users(3))).status == 202

        logged = self.deliver(api, worker)

        assert not any(worker.timpush.tags.values())
        summary = json.loads(logged.splitlines()[-1])
        assert summary["request_ids"] == [REQUEST_ID]

    def test_stays_with_a_malformed_message(self, worker: Worker) -> None:
        attributes = {"RequestId": {"stringValue": "an-id", "dataType": "String"}}
        event = {"Records": [record("m0", "{") | {"messageAttributes": attributes}]}

        worker.handle(event)

        ((body, carried),) = worker.dead_letters()
        assert (body, carried["RequestId"]) == ("{", "an-id")

    @pytest.mark.parametrize(
        "attribute",
        [
            {"stringValue": "x" * 201, "dataType": "String"},
            {"stringValue": "", "dataType": "String"},
            {"binaryValue": "AAAA", "dataType": "Binary"},
        ],
    )
    def test_that_is_unrelated_is_left_out(self, worker: Worker, attribute: dict[str, str]) -> None:
        event = {"Records": [record("m0", "{") | {"messageAttributes": {"RequestId": attribute}}]}

        worker.handle(event)

        ((_, attributes),) = worker.dead_letters()
        assert "RequestId" not in attributes


class TestSecrecy:
    @pytest.mark.parametrize("fault", [None, *FAULTS], ids=str)
    def test_the_usersig_is_in_no_line_no_reply_and_no_message(
        self, api: Api, fault: Fault | None
    ) -> None:
        secret = api.timpush.secret()
        api.store_secret(secret)
        usersig = json.loads(secret)["usersig"]
        info = f"usersig {usersig} or {quote_plus(usersig)} is bad"
        if fault:
            given = {"info": info} if fault.kind == "code" else {}
            api.timpush.set_fault(Fault(**{**vars(fault), **given}))

        with printed(app.logger) as written, everything_at_debug():
            reply = api.post(document(users(1)))
        endpoint = environment.make_endpoint(read_api_settings(os.environ))

        assert api.timpush.received[0].query["usersig"] == usersig
        said = [written.getvalue(), repr(reply), repr(endpoint), repr(api.messages())]
        assert not holds(" ".join(said), usersig)
