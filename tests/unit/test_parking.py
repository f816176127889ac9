"""What failed for good is parked whole, with its reason, in documents that are messages again."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timpush.errors import MalformedMessageError
from timpush.messages import parse
from timpush.outcomes import EXPIRED, Outcome
from timpush.queue.dead_letter import Failed, Parked, park_failed, park_malformed

MIB = 1024 * 1024
ID = "9a3d0c1e-0000-4000-8000-000000000001"
UNKNOWN_ACCOUNT = Outcome("rejected", 70107, "")
BAD_TAG = Outcome("rejected", 90034, "tag too long")


def failed(account: str, *tags: str, outcome: Outcome = UNKNOWN_ACCOUNT) -> list[Failed]:
    return [(account, tag, outcome) for tag in tags]


def park_one(rows: list[Failed], **how: Any) -> Parked:
    [parked] = park_failed(ID, rows, **how)
    return parked


def document(parked: Parked) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(parked.body)
    return value


def sqs_size(parked: Parked) -> int:
    """Bytes as SQS counts them, said here once more: names, types and values of attributes too."""
    parts = [parked.body]
    for name, value in parked.attributes().items():
        parts += [name, "String", value]
    return sum(len(part.encode()) for part in parts)


class TestFailedUsers:
    def test_they_are_parked_with_the_tags_that_failed_and_why(self) -> None:
        rows = failed("b", "z", "a") + failed("a", "m", outcome=BAD_TAG)
        assert document(park_one(rows)) == {
            "UserTags": [
                {"To_Account": "b", "Tags": ["z", "a"]},
                {"To_Account": "a", "Tags": ["m"]},
            ],
            "Errors": [
                {"To_Account": "b", "ErrorCode": 70107, "ErrorInfo": ""},
                {"To_Account": "a", "ErrorCode": 90034, "ErrorInfo": "tag too long"},
            ],
            "SourceMessageId": ID,
        }

    def test_each_error_of_a_user_is_there_once(self) -> None:
        rows = failed("a", "x", "y", outcome=BAD_TAG) + failed("a", "z")
        errors = document(park_one(rows))["Errors"]
        assert [(one["To_Account"], one["ErrorCode"]) for one in errors] == [
            ("a", 90034),
            ("a", 70107),
        ]

    def test_an_account_that_the_message_held_twice_is_there_once(self) -> None:
        rows = failed("a", "x") + failed("b", "x") + failed("a", "y")
        assert document(park_one(rows))["UserTags"][0] == {"To_Account": "a", "Tags": ["x", "y"]}

    def test_a_parked_document_can_be_sent_back_as_it_is(self) -> None:
        rows = failed("名前", "ärger", "🏷") + failed("\n", "x")
        parked = park_one(rows)
        assert parse(parked.body).users == [("名前", ["ärger", "🏷"]), ("\n", ["x"])]
        assert parse(parked.body).not_after is None

    def test_an_expired_removal_is_parked_as_expired(self) -> None:
        parked = park_one(failed("a", "x", outcome=EXPIRED))
        assert document(parked)["Errors"][0]["ErrorCode"] == "Expired"
        assert parked.attributes()["ErrorCode"] == "Expired"
        assert "NotAfter" in parked.attributes()["Reason"]


class TestAttributes:
    def test_they_name_source_code_and_reason(self) -> None:
        assert park_one(failed("a", "x", outcome=BAD_TAG)).attributes() == {
            "SourceMessageId": ID,
            "ErrorCode": "90034",
            "Reason": "90034: tag over 50 bytes: tag too long",
        }

    def test_the_code_is_the_one_most_tags_failed_with(self) -> None:
        rows = failed("a", "x", outcome=BAD_TAG) + failed("b", "x") + failed("c", "x")
        assert park_one(rows).attributes()["ErrorCode"] == "70107"

    def test_what_tencent_says_is_cut_and_made_printable(self) -> None:
        said = Outcome("rejected", 90001, "a\x00b\nc\ud800d" + "x" * 10_000)
        reason = park_one(failed("a", "x", outcome=said)).attributes()["Reason"]
        assert reason.startswith("90001: bad JSON: a b c dxxx")
        assert len(reason) <= 300

    def test_what_the_message_carried_stays_with_it(self) -> None:
        carried = {"RequestId": "request-1"}
        error = MalformedMessageError([("", "must be JSON")])
        for parked in (
            park_one(failed("a", "x"), carried=carried),
            park_malformed(ID, "x", error, carried),
        ):
            assert parked.attributes()["RequestId"] == "request-1"
            assert parked.attributes()["SourceMessageId"] == ID
            assert parked.size() == sqs_size(parked)


class TestMalformed:
    def test_it_is_parked_with_its_own_body_and_its_faults(self) -> None:
        body = '{"UserTags": [{"To_Account": "名", "Tags": []}]} '
        error = MalformedMessageError([("/UserTags/0/Tags", "must be a non-empty array")])
        parked = park_malformed(ID, body, error)
        assert parked.body == body
        assert parked.attributes() == {
            "SourceMessageId": ID,
            "ErrorCode": "Malformed",
            "Reason": "malformed: /UserTags/0/Tags must be a non-empty array",
        }

    def test_many_faults_make_no_long_reason(self) -> None:
        error = MalformedMessageError([(f"/UserTags/{n}", "is odd") for n in range(50)])
        assert len(park_malformed(ID, "", error).attributes()["Reason"]) <= 300


def many(users: int, tags: int, account_length: int = 36) -> list[Failed]:
    return [
        (f"{user:0{account_length}d}", f"tag-{tag}", UNKNOWN_ACCOUNT)
        for user in range(users)
        for tag in range(tags)
    ]


def held(parts: list[Parked]) -> Counter[tuple[str, str]]:
    return Counter(
        (user["To_Account"], tag)
        for part in parts
        for user in document(part)["UserTags"]
        for tag in user["Tags"]
    )


class TestSplit:
    def test_one_document_while_it_fits(self) -> None:
        assert len(list(park_failed(ID, many(6_000, 1)))) == 1

    @pytest.mark.parametrize("rows", [many(12_000, 1), many(1, 120_000), many(2_500, 60)], ids=len)
    def test_more_than_a_mebibyte_is_split_into_few_documents(self, rows: list[Failed]) -> None:
        parts = list(park_failed(ID, rows))
        total = sum(len(part.body) for part in parts)
        assert 2 <= len(parts) <= 1 + 1.1 * total / MIB
        assert all(sqs_size(part) <= MIB for part in parts)
        assert held(parts) == Counter({(account, tag): 1 for account, tag, _ in rows})

    def test_a_document_is_split_no_sooner_than_it_must_be(self) -> None:
        room = (MIB - sqs_size(park_one(failed("a", "x")))) // 2  # an account is there twice
        sizes = []
        for length in range(room - 60, room):
            parts = list(park_failed(ID, failed("a", "x") + failed("b" * length, "x")))
            assert all(sqs_size(part) <= MIB for part in parts)
            sizes += [sqs_size(part) for part in parts if len(parts) == 1]
        assert max(sizes) >= MIB - 4
        assert len(sizes) < 60

    @settings(max_examples=15)
    @given(
        st.lists(
            st.tuples(
                st.integers(1, 500),  # users like this
                st.integers(1, 30),  # tags of each
                st.sampled_from(["", "名" * 10, "\x01" * 40, "x" * 2_000]),  # in each account
                st.text(max_size=40),  # what TIMPush says of each
            ),
            max_size=4,
        ).filter(bool)
    )
    def test_nothing_is_lost_or_doubled_and_every_document_is_complete(
        self, groups: list[tuple[int, int, str, str]]
    ) -> None:
        rows = [
            (f"{group}-{user}{pad}", f"tag-{tag}", Outcome("rejected", 90000 + group, text))
            for group, (users, tags, pad, text) in enumerate(groups)
            for user in range(min(users, 4_000 // tags))
            for tag in range(tags)
        ]
        parts = list(park_failed(ID, rows))
        assert all(sqs_size(part) == part.size() <= MIB for part in parts)
        assert held(parts) == Counter({(account, tag): 1 for account, tag, _ in rows})
        why = {account: (outcome.code, outcome.text) for account, _, outcome in rows}
        for part in parts:
            users = [account for account, _ in parse(part.body).users]
            errors = document(part)["Errors"]
            assert document(part)["SourceMessageId"] == ID
            assert {one["To_Account"] for one in errors} == set(users)
            assert all(
                (one["ErrorCode"], one["ErrorInfo"]) == why[one["To_Account"]] for one in errors
            )
