"""Each status of the endpoint, between a queue, a secret and a stand-in TIMPush."""

import base64
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from remove_tags_api import app
from support.api import REQUEST_ID, Api, api_event, document, losing, users
from support.rotation import Context, captured
from timpush_server import Fault

HOPELESS = {"ErrorCode": 70107, "ErrorInfo": ""}
MIB = 1024 * 1024
LAMBDA_BYTES = 6_291_556
"""The largest reply that Lambda sends."""


def know(api: Api, tags: dict[str, list[str]]) -> None:
    """TIMPush holds these tags, and one more of each user."""
    api.timpush.tags.update({account: {*names, "kept"} for account, names in tags.items()})


class TestSettled:
    def test_100_users_with_10_tags_each_are_removed_by_exactly_one_call(self, api: Api) -> None:
        asked = users(100, tags=10)
        know(api, asked)

        reply = api.post(document(asked))

        assert reply.status == 200
        assert reply.content == {
            "requestId": REQUEST_ID,
            "removed": 100,
            "failed": [],
            "queued": 0,
        }
        assert set(map(frozenset, api.timpush.tags.values())) == {frozenset({"kept"})}
        assert len(api.timpush.received) == 1
        assert reply.headers["content-type"] == "application/json"
        assert "preference-applied" not in reply.headers

    def test_users_listed_with_a_hopeless_code_are_failed_and_not_queued(self, api: Api) -> None:
        know(api, users(2))
        api.timpush.account_codes["user-1"] = 70399

        reply = api.post(document(users(3)))

        assert reply.status == 200
        assert reply.content["removed"] == 1
        assert reply.content["failed"] == [
            {"To_Account": "user-1", "ErrorCode": 70399, "ErrorInfo": "account failed"},
            {"To_Account": "user-2", **HOPELESS},
        ]
        assert api.queued() == {}

    def test_a_single_user_whose_call_is_refused_for_its_input_is_failed(self, api: Api) -> None:
        know(api, users(1))
        api.timpush.refused_tags["tag-0"] = 90034

        reply = api.post(document(users(1)))

        assert reply.status == 200
        assert reply.content["failed"] == [
            {"To_Account": "user-0", "ErrorCode": 90034, "ErrorInfo": "tag refused"}
        ]
        assert api.queued() == {}

    def test_an_account_that_is_there_twice_is_one_user_with_all_its_tags(self, api: Api) -> None:
        know(api, {"user": ["a", "b", "c"]})
        rows = [{"To_Account": "user", "Tags": tags} for tags in (["a", "b"], ["b", "c"])]

        reply = api.post({"UserTags": rows})

        assert reply.content["removed"] == 1
        assert api.timpush.tags["user"] == {"kept"}
        assert len(api.timpush.received) == 1

    def test_a_tag_that_is_there_eleven_times_is_one_tag(self, api: Api) -> None:
        know(api, users(1))

        reply = api.post(document({"user-0": ["tag-0"] * 11}))

        assert (reply.status, reply.content["removed"]) == (200, 1)

    def test_after_not_after_nothing_is_removed_and_every_user_is_failed(self, api: Api) -> None:
        know(api, users(2))

        reply = api.post(document(users(2), NotAfter=int(time.time()) - 1))

        assert reply.status == 200
        assert reply.failed == {"user-0": "Expired", "user-1": "Expired"}
        assert api.timpush.received == []
        assert api.queued() == {}

    def test_before_not_after_tags_are_removed(self, api: Api) -> None:
        know(api, users(2))

        reply = api.post(document(users(2), NotAfter=int(time.time()) + 60))

        assert (reply.status, reply.content["removed"]) == (200, 2)

    def test_non_ascii_accounts_and_texts_come_back_as_they_are(self, api: Api) -> None:
        api.timpush.account_codes["用户"] = 70107

        reply = api.post(document({"用户": ["金"]}))

        assert reply.failed == {"用户": 70107}

    def test_the_body_may_be_in_base64(self, api: Api) -> None:
        know(api, users(1))
        body = base64.b64encode(json.dumps(document(users(1))).encode()).decode()

        reply = api.send(api_event(body, isBase64Encoded=True))

        assert (reply.status, reply.content["removed"]) == (200, 1)

    @pytest.mark.parametrize("listed", [True, False])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Content-Type", "application/json; charset=utf-8"),
            ("content-type", "Application/JSON"),
            ("CONTENT-TYPE", "application/json ;charset=UTF-8"),
        ],
    )
    def test_headers_may_be_written_in_any_case_and_with_parameters(
        self, api: Api, name: str, value: str, listed: bool
    ) -> None:
        know(api, users(1))
        event = api_event(document(users(1)), {name: value})

        reply = api.send(event | {"headers" if listed else "multiValueHeaders": None})

        assert reply.status == 200


class TestQueuedAfterTheCall:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault("drop"),
            Fault("status"),
            Fault("status", status=500),
            Fault("garbage"),
            Fault("body", body=b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":{}}'),
            Fault(
                "body", body=b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":[{"To_Account":1}]}'
            ),
            *(
                Fault("code", code=code, info="said TIMPush")
                for code in (
                    70169,  # transient
                    60007,  # rate limited
                    70009,  # credentials
                    60026,  # configuration
                    90018,  # input, of several users
                    99999,  # unknown
                )
            ),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.code or fault.status}",
    )
    def test_all_users_are_queued_when_the_one_call_fails_as_a_whole(
        self, api: Api, fault: Fault
    ) -> None:
        know(api, users(3))
        api.timpush.inject(fault)

        reply = api.post(document(users(3)))

        assert reply.status == 202
        assert reply.content == {"requestId": REQUEST_ID, "removed": 0, "failed": [], "queued": 3}
        assert len(api.timpush.received) == 1
        assert api.queued() == users(3)

    def test_a_reply_that_is_lost_leaves_the_users_queued(self, api: Api) -> None:
        know(api, users(3))
        api.timpush.inject(Fault("lost_reply"))

        reply = api.post(document(users(3)))

        assert (reply.status, reply.content["queued"]) == (202, 3)
        assert api.queued() == users(3)

    def test_a_reply_that_does_not_come_in_time_leaves_time_to_queue(self, api: Api) -> None:
        api.timpush.inject(Fault("hang", seconds=30))

        reply = api.post(document(users(2)), seconds=7.6)

        assert (reply.status, reply.content["queued"]) == (202, 2)
        assert api.queued() == users(2)

    @pytest.mark.parametrize("code", [70169, 60007, 70009, 60026, 99999])
    def test_users_listed_with_another_than_a_hopeless_code_are_queued(
        self, api: Api, code: int
    ) -> None:
        know(api, users(3))
        api.timpush.account_codes["user-1"] = code

        reply = api.post(document(users(3)))

        assert reply.status == 202
        assert (reply.content["removed"], reply.content["queued"]) == (2, 1)
        assert api.queued() == {"user-1": ["tag-0"]}

    def test_a_user_listed_for_its_input_is_failed_whatever_its_tags(self, api: Api) -> None:
        know(api, users(2, tags=3))
        api.timpush.account_codes["user-0"] = 90034

        reply = api.post(document(users(2, tags=3)))

        assert (reply.status, reply.content["removed"]) == (200, 1)
        assert reply.failed == {"user-0": 90034}
        assert api.queued() == {}

    def test_a_user_alone_in_a_refused_call_is_failed_whatever_its_tags(self, api: Api) -> None:
        know(api, users(1, tags=2))
        api.timpush.refused_tags["tag-1"] = 90034

        reply = api.post(document(users(1, tags=2)))

        assert reply.status == 200
        assert reply.failed == {"user-0": 90034}
        assert api.queued() == {}

    def test_an_account_that_is_itself_hopeless_is_failed_whatever_its_tags(self, api: Api) -> None:
        reply = api.post(document(users(2, tags=3)))

        assert reply.status == 200
        assert reply.failed == {"user-0": 70107, "user-1": 70107}

    def test_without_time_for_a_call_none_is_made(self, api: Api) -> None:
        reply = api.post(document(users(2)), seconds=6.0)

        assert (reply.status, reply.content["queued"]) == (202, 2)
        assert api.timpush.received == []
        assert api.queued() == users(2)

    def test_what_is_queued_keeps_not_after_and_the_request_id(self, api: Api) -> None:
        until = int(time.time()) + 60
        api.timpush.inject(Fault("drop"))

        api.post(document(users(2), NotAfter=until))

        (message,) = api.messages()
        assert json.loads(message["Body"]) == document(users(2), NotAfter=until)
        assert message["MessageAttributes"] == {
            "RequestId": {"StringValue": REQUEST_ID, "DataType": "String"}
        }


class TestCredentials:
    def test_a_refused_usersig_is_not_sent_again_within_a_minute(self, api: Api) -> None:
        api.store_secret(api.timpush.secret(key="another key"))

        first, second = (api.post(document(users(1))) for _ in range(2))

        assert (first.status, second.status) == (202, 202)
        assert [call.code for call in api.timpush.received] == [70009]

    def test_the_request_after_a_refusal_uses_the_new_usersig(self, api: Api) -> None:
        know(api, users(1))
        api.store_secret(api.timpush.secret(key="another key"))
        assert api.post(document(users(1))).status == 202

        api.store_secret(api.timpush.secret())
        reply = api.post(document(users(1)))

        assert (reply.status, reply.content["removed"]) == (200, 1)

    @pytest.mark.parametrize("case", ["placeholder", "expired", "other identifier", "no JSON"])
    def test_a_secret_that_cannot_be_used_is_never_sent(self, api: Api, case: str) -> None:
        api.store_secret(
            {
                "placeholder": '{"sdkappid": 0, "identifier": "", "usersig": ""}',
                "expired": api.timpush.secret(time=1_600_000_000, expire=60),
                "other identifier": json.dumps(
                    json.loads(api.timpush.secret()) | {"identifier": "somebody"}
                ),
                "no JSON": "usersig",
            }[case]
        )

        reply = api.post(document(users(2)))

        assert (reply.status, reply.content["queued"]) == (202, 2)
        assert api.timpush.received == []
        assert api.queued() == users(2)

    def test_a_corrected_secret_is_found_by_the_next_request(self, api: Api) -> None:
        know(api, users(1))
        api.store_secret("usersig")
        assert api.post(document(users(1))).status == 202

        api.store_secret(api.timpush.secret())

        assert api.post(document(users(1))).status == 200


class TestQueuedWithoutACall:
    @pytest.mark.parametrize(
        ("asked", "messages"), [(users(101), 2), (users(1, tags=11), 1), (users(250), 3)]
    )
    def test_more_than_one_call_can_hold_is_queued_in_messages_of_100_users(
        self, api: Api, asked: dict[str, list[str]], messages: int
    ) -> None:
        reply = api.post(document(asked))

        assert reply.status == 202
        assert reply.content["queued"] == len(asked)
        assert "preference-applied" not in reply.headers
        assert api.timpush.received == []
        found = [json.loads(message["Body"])["UserTags"] for message in api.messages()]
        assert len(found) == messages
        assert max(map(len, found)) <= 100
        rows = {row["To_Account"]: row["Tags"] for message in found for row in message}
        assert rows == asked

    def test_a_caller_that_prefers_so_does_not_wait_for_a_call(self, api: Api) -> None:
        reply = api.post(document(users(2)), {"Prefer": "respond-async"})

        assert reply.status == 202
        assert reply.headers["preference-applied"] == "respond-async"
        assert reply.content["queued"] == 2
        assert api.timpush.received == []
        assert api.queued() == users(2)

    def test_preferences_in_several_headers_count(self, api: Api) -> None:
        headers = {"Content-Type": ["application/json"], "pREFER": ["wait=10", "Respond-Async"]}

        reply = api.send(api_event(document(users(1)), multiValueHeaders=headers))

        assert reply.headers["preference-applied"] == "respond-async"

    def test_every_message_holds_the_request_id(self, api: Api) -> None:
        api.send(api_event(document(users(250)), request_id="another-id"))

        ids = [one["MessageAttributes"]["RequestId"]["StringValue"] for one in api.messages()]
        assert ids == ["another-id"] * 3

    def test_a_body_of_almost_5_mib_goes_in_batches_that_sqs_takes(self, api: Api) -> None:
        rows = ",".join(
            f'{{"To_Account":"user-{number:08d}","Tags":["tag-{number:010d}"]}}'
            for number in range(90_000)
        )
        body = f'{{"UserTags":[{rows}]}}'
        assert 4.8 * MIB < len(body) <= 5 * MIB
        batches: list[list[dict[str, Any]]] = []

        def take(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            entries = json.loads(params["body"])["Entries"]
            batches.append(entries)  # from several threads at once
            taken = [{"Id": entry["Id"]} for entry in entries]
            return SimpleNamespace(status_code=200), {"Successful": taken}

        with api.queue_hook("before-call", take):
            reply = api.post(body)

        assert (reply.status, reply.content["queued"]) == (202, 90_000)
        assert sum(map(len, batches)) == 900
        assert max(map(len, batches)) <= 10
        for entries in batches:
            assert len({entry["Id"] for entry in entries}) == len(entries)
            assert sum(len(entry["MessageBody"]) for entry in entries) < MIB

    def test_long_accounts_make_smaller_messages(self, api: Api) -> None:
        asked = {f"{number:03d}" + "x" * 30_000: ["tag"] for number in range(60)}

        reply = api.post(document(asked), {"Prefer": "respond-async"})

        assert (reply.status, reply.content["queued"]) == (202, 60)
        messages = api.messages()
        assert len(messages) == 2
        assert all(len(message["Body"]) < MIB for message in messages)

    def test_an_account_that_fits_into_no_message_is_failed_and_holds_up_no_other(
        self, api: Api
    ) -> None:
        giant = "x" * (MIB + 1)

        reply = api.post(document({giant: ["tag"]} | users(2)), {"Prefer": "respond-async"})

        assert reply.status == 202
        assert reply.failed == {giant: "TooLarge"}
        assert api.queued() == users(2)


class TestUnaccounted:
    def test_users_that_cannot_be_queued_are_named(self, api: Api) -> None:
        know(api, users(3))
        api.timpush.account_codes |= {"user-1": 70169, "user-2": 70107}

        with api.queue_fault(losing(lambda _: True)):
            reply = api.post(document(users(3)))

        assert reply.status == 503
        assert int(reply.headers["retry-after"]) > 0
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.content["requestId"] == REQUEST_ID
        assert reply.content["removed"] == 1
        assert reply.failed == {"user-2": 70107}
        assert reply.content["queued"] == 0
        assert reply.content["unaccounted"] == ["user-1"]

    def test_only_the_users_of_messages_that_were_not_taken_are_named(self, api: Api) -> None:
        with api.queue_fault(losing(lambda entry: '"user-150"' in entry["MessageBody"])):
            reply = api.post(document(users(250)))

        assert reply.status == 503
        assert reply.content["queued"] == 150
        assert reply.content["unaccounted"] == [f"user-{number}" for number in range(100, 200)]
        assert set(api.queued()) == set(users(250)) - set(reply.content["unaccounted"])

    def test_an_entry_that_is_not_taken_at_first_is_sent_again(self, api: Api) -> None:
        attempts: list[str] = []

        def once(entry: dict[str, Any]) -> bool:
            if '"user-0"' not in entry["MessageBody"]:
                return False
            attempts.append(entry["Id"])
            return len(attempts) == 1

        with api.queue_fault(losing(once)):
            reply = api.post(document(users(150)))

        assert (reply.status, reply.content["queued"]) == (202, 150)
        assert len(attempts) == 2
        assert api.queued() == users(150)

    def test_names_that_do_not_fit_into_a_reply_are_counted(self, api: Api) -> None:
        # Given 36,000 accounts that take 6.8 MB as JSON within JSON, and a queue that takes none
        accounts = {f"{number:05}" + '"' * 45: ["tag"] for number in range(36_000)}

        with api.queue_fault(losing(lambda _: True)):
            reply = app.lambda_handler(api_event(document(accounts)), Context(26.0))

        # Then the reply is one that Lambda sends, and says that all are to be sent again
        assert len(json.dumps(reply)) <= LAMBDA_BYTES
        assert reply["statusCode"] == 503
        content = json.loads(reply["body"])
        assert content["unaccountedUsers"] == 36_000
        assert "unaccounted" not in content
        assert "whole request again" in content["detail"]

        # And when they are, no user is lost
        assert api.post(document(accounts)).status == 202
        assert set(api.queued()) == set(accounts)

    def test_names_that_just_fit_are_named(self, api: Api) -> None:
        accounts = {f"{number:05}" + '"' * 45: ["tag"] for number in range(15_000)}

        with api.queue_fault(losing(lambda _: True)):
            reply = api.post(document(accounts))

        assert set(reply.content["unaccounted"]) == set(accounts)

    def test_rejected_accounts_that_do_not_fit_into_a_reply_are_truncated(self, api: Api) -> None:
        # Given 100 accounts that take 8 MB as JSON within JSON, and whose removal comes too late
        accounts = {f"{number:03}" + '"' * 20_000: ["tag"] for number in range(100)}

        event = api_event(document(accounts, NotAfter=1))
        reply = app.lambda_handler(event, Context(26.0))

        assert api.timpush.received == []
        assert len(json.dumps(reply)) <= LAMBDA_BYTES
        rows = json.loads(reply["body"])["failed"]
        assert len(rows) == 100
        assert {row["To_Account"][:3] for row in rows} == {account[:3] for account in accounts}
        assert all(row["Truncated"] and row["ErrorCode"] == "Expired" for row in rows)

    def test_a_queue_that_does_not_answer_is_told(self, api: Api) -> None:
        def unreachable(_: dict[str, Any]) -> None:
            raise ConnectTimeoutError(endpoint_url="http://sqs.example")

        with api.queue_fault(unreachable):
            reply = api.post(document(users(2)), {"Prefer": "respond-async"})

        assert reply.status == 503
        assert reply.content["unaccounted"] == ["user-0", "user-1"]

    def test_a_queue_that_is_gone_is_told(self, api: Api) -> None:
        api.sqs.delete_queue(QueueUrl=api.queue_url)

        reply = api.post(document(users(2)), {"Prefer": "respond-async"})

        assert reply.status == 503
        assert reply.counted == 2

    def test_without_any_time_left_it_is_still_told(self, api: Api) -> None:
        reply = api.post(document(users(2)), seconds=0.2)

        assert reply.status == 503
        assert reply.content["unaccounted"] == ["user-0", "user-1"]


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"UserTags": [{"To_Account": "user", "Tags": ["x" * 51]}]}, "/UserTags/0/Tags/0"),
            ({"UserTags": [{"To_Account": "", "Tags": ["x"]}]}, "/UserTags/0/To_Account"),
            ({"UserTags": [{"To_Account": "user", "Tags": []}]}, "/UserTags/0/Tags"),
            ({"UserTags": []}, "/UserTags"),
            ({}, "/UserTags"),
            (document(users(1), NotAfter="soon"), "/NotAfter"),
            ("{", ""),
            ("", ""),
            (None, ""),
            ([], ""),
        ],
    )
    def test_a_malformed_body_is_refused_with_a_pointer_and_the_rule(
        self, api: Api, body: Any, pointer: str
    ) -> None:
        reply = api.post(body)

        assert reply.status == 400
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.content["status"] == 400
        assert reply.content["requestId"] == REQUEST_ID
        (fault,) = reply.content["errors"]
        assert fault["pointer"] == pointer
        assert fault["detail"].startswith("must be")

    def test_nothing_of_a_malformed_body_is_sent(self, api: Api) -> None:
        good, bad = document(users(1))["UserTags"], {"To_Account": "user", "Tags": "no array"}

        reply = api.post({"UserTags": [*good, bad]}, {"Prefer": "respond-async"})

        assert reply.status == 400
        assert "preference-applied" not in reply.headers
        assert api.timpush.received == []
        assert api.queued() == {}

    def test_every_fault_is_told_but_no_more_than_50(self, api: Api) -> None:
        few = api.post(document({f"user-{n}": [] for n in range(49)}))
        many = api.post(document({f"user-{n}": [] for n in range(1_000)}))

        assert [fault["pointer"] for fault in few.content["errors"]] == [
            f"/UserTags/{n}/Tags" for n in range(49)
        ]
        assert len(many.content["errors"]) == 50

    @pytest.mark.parametrize("body", [base64.b64encode(b'{"\xff"}').decode(), "not base64", "é"])
    def test_what_is_no_text_in_utf_8_is_malformed(self, api: Api, body: str) -> None:
        reply = api.send(api_event(body, isBase64Encoded=True))

        assert reply.status == 400
        assert reply.content["errors"] == [{"pointer": "", "detail": "must be JSON in UTF-8"}]

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
    )
    def test_another_content_type_is_refused(self, api: Api, content_type: str) -> None:
        reply = api.post(document(users(1)), {"Content-Type": content_type})

        assert reply.status == 415
        assert reply.headers["content-type"] == "application/problem+json"
        assert api.timpush.received == []

    def test_a_request_without_headers_is_refused(self, api: Api) -> None:
        event = api_event(document(users(1))) | {"headers": None, "multiValueHeaders": None}

        assert api.send(event).status == 415

    @pytest.mark.parametrize("encoded", [False, True])
    def test_a_body_above_5_mib_is_refused_before_it_is_read(self, api: Api, encoded: bool) -> None:
        body = "é" * (5 * MIB // 2) + "x"
        sent = base64.b64encode(body.encode()).decode() if encoded else body

        reply = api.send(api_event(sent, isBase64Encoded=encoded))

        assert reply.status == 413
        assert reply.headers["content-type"] == "application/problem+json"
        assert "5,242,880" in reply.content["detail"]

    def test_a_body_of_exactly_5_mib_is_read(self, api: Api) -> None:
        text = json.dumps(document(users(1)))

        reply = api.post(text + " " * (5 * MIB - len(text)))

        assert reply.status == 200

    @pytest.mark.parametrize(("method", "path"), [("GET", "/v1/remove-tags"), ("POST", "/v2")])
    def test_another_path_or_method_is_unknown_even_without_an_api_gateway(
        self, api: Api, method: str, path: str
    ) -> None:
        reply = api.send(api_event(document(users(1)), httpMethod=method, path=path))

        assert reply.status == 404
        assert reply.content["requestId"] == REQUEST_ID
        assert api.timpush.received == []

    def test_a_refused_request_leaves_a_line_with_its_id(self, api: Api) -> None:
        with captured(app.logger) as logged:
            api.post({"UserTags": []})

        (line,) = map(json.loads, logged.getvalue().splitlines())
        assert (line["request_id"], line["status"]) == (REQUEST_ID, 400)


class TestUnexpected:
    def test_a_setting_that_is_missing_is_told_to_the_log_alone(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("QUEUE_URL")

        with captured(app.logger) as logged:
            reply = api.post(document(users(1)))

        assert reply.status == 500
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.content["requestId"] == REQUEST_ID
        assert "QUEUE_URL" not in json.dumps(reply.content)
        assert "QUEUE_URL is missing" in logged.getvalue()
        assert REQUEST_ID in logged.getvalue()

    def test_a_request_without_an_id_gets_the_invocations(self, api: Api) -> None:
        context = {"stage": "live", "path": "/live/v1"}
        reply = api.send(api_event(document(users(1)), requestContext=context))

        assert reply.content["requestId"] == "request-1"
