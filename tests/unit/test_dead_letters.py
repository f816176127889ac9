"""What was rejected becomes dead letters, each with its reason, that are messages themselves."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timpush.errors import MalformedMessageError
from timpush.messages import parse
from timpush.outcomes import EXPIRED, Outcome
from timpush.queue.attributes import Message
from timpush.queue.dead_letter import Rejected, malformed_letter, rejected_letters

MIB = 1024 * 1024
ID = "9a3d0c1e-0000-4000-8000-000000000001"
UNKNOWN_ACCOUNT = Outcome("rejected", 70107, "")
BAD_TAG = Outcome("rejected", 90034, "tag too long")


def rejected(account: str, *tags: str, outcome: Outcome = UNKNOWN_ACCOUNT) -> list[Rejected]:
    return [(account, tag, outcome) for tag in tags]


def write(rows: list[Rejected], carried: dict[str, str] | None = None) -> list[Message]:
    return list(rejected_letters(ID, rows, carried or {}))


def write_one(rows: list[Rejected], carried: dict[str, str] | None = None) -> Message:
    [letter] = write(rows, carried)
    return letter


def document(letter: Message) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(letter.body)
    return value


def sqs_size(letter: Message) -> int:
    """Bytes as SQS counts them, said here once more: names, types and values of attributes too."""
    parts = [letter.body]
    for name, value in letter.attributes.items():
        parts += [name, "String", value]
    return sum(len(part.encode()) for part in parts)


class TestRejectedUsers:
    def test_they_are_there_with_the_tags_that_were_rejected_and_why(self) -> None:
        rows = rejected("b", "z", "a") + rejected("a", "m", outcome=BAD_TAG)
        assert document(write_one(rows)) == {
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
        rows = rejected("a", "x", "y", outcome=BAD_TAG) + rejected("a", "z")
        errors = document(write_one(rows))["Errors"]
        assert [(one["To_Account"], one["ErrorCode"]) for one in errors] == [
            ("a", 90034),
            ("a", 70107),
        ]

    def test_an_account_that_the_message_held_twice_is_there_once(self) -> None:
        rows = rejected("a", "x") + rejected("b", "x") + rejected("a", "y")
        assert document(write_one(rows))["UserTags"][0] == {"To_Account": "a", "Tags": ["x", "y"]}

    def test_a_dead_letter_can_be_sent_back_as_it_is(self) -> None:
        rows = rejected("名前", "ärger", "🏷") + rejected("\n", "x")
        letter = write_one(rows)
        assert parse(letter.body).users == [("名前", ["ärger", "🏷"]), ("\n", ["x"])]
        assert parse(letter.body).not_after is None

    def test_an_expired_removal_says_so(self) -> None:
        letter = write_one(rejected("a", "x", outcome=EXPIRED))
        assert document(letter)["Errors"][0]["ErrorCode"] == "Expired"
        assert letter.attributes["ErrorCode"] == "Expired"
        assert "NotAfter" in letter.attributes["Reason"]


class TestAttributes:
    def test_they_name_source_code_and_reason(self) -> None:
        assert write_one(rejected("a", "x", outcome=BAD_TAG)).attributes == {
            "SourceMessageId": ID,
            "ErrorCode": "90034",
            "Reason": "90034: tag refused as over 50 bytes: tag too long",
        }

    def test_the_code_is_the_one_most_tags_were_rejected_with(self) -> None:
        rows = rejected("a", "x", outcome=BAD_TAG) + rejected("b", "x") + rejected("c", "x")
        assert write_one(rows).attributes["ErrorCode"] == "70107"

    def test_what_tencent_says_is_cut_and_made_printable(self) -> None:
        said = Outcome("rejected", 90001, "a\x00b\nc\ud800d" + "x" * 10_000)
        reason = write_one(rejected("a", "x", outcome=said)).attributes["Reason"]
        assert reason.startswith("90001: bad JSON: a b c dxxx")
        assert len(reason) <= 300

    def test_what_the_message_carried_stays_with_it(self) -> None:
        carried = {"RequestId": "request-1"}
        error = MalformedMessageError([("", "must be JSON")])
        for letter in (
            write_one(rejected("a", "x"), carried=carried),
            malformed_letter(ID, "x", error, carried),
        ):
            assert letter.attributes["RequestId"] == "request-1"
            assert letter.attributes["SourceMessageId"] == ID
            assert letter.size() == sqs_size(letter)


class TestMalformed:
    def test_it_is_there_with_its_own_body_and_its_faults(self) -> None:
        body = '{"UserTags": [{"To_Account": "名", "Tags": []}]} '
        error = MalformedMessageError([("/UserTags/0/Tags", "must be a non-empty array")])
        letter = malformed_letter(ID, body, error, {})
        assert letter.body == body
        assert letter.attributes == {
            "SourceMessageId": ID,
            "ErrorCode": "Malformed",
            "Reason": "malformed: /UserTags/0/Tags must be a non-empty array",
        }

    def test_many_faults_make_no_long_reason(self) -> None:
        error = MalformedMessageError([(f"/UserTags/{n}", "is odd") for n in range(50)])
        assert len(malformed_letter(ID, "", error, {}).attributes["Reason"]) <= 300


def many(users: int, tags: int, account_length: int = 36) -> list[Rejected]:
    return [
        (f"{user:0{account_length}d}", f"tag-{tag}", UNKNOWN_ACCOUNT)
        for user in range(users)
        for tag in range(tags)
    ]


def held(parts: list[Message]) -> Counter[tuple[str, str]]:
    return Counter(
        (user["To_Account"], tag)
        for part in parts
        for user in document(part)["UserTags"]
        for tag in user["Tags"]
    )


class TestSplit:
    def test_one_document_while_it_fits(self) -> None:
        assert len(write(many(6_000, 1))) == 1

    @pytest.mark.parametrize("rows", [many(12_000, 1), many(1, 120_000), many(2_500, 60)], ids=len)
    def test_more_than_a_mebibyte_is_split_into_few_documents(self, rows: list[Rejected]) -> None:
        parts = write(rows)
        total = sum(len(part.body) for part in parts)
        assert 2 <= len(parts) <= 1 + 1.1 * total / MIB
        assert all(sqs_size(part) <= MIB for part in parts)
        assert held(parts) == Counter({(account, tag): 1 for account, tag, _ in rows})

    def test_a_document_is_split_no_sooner_than_it_must_be(self) -> None:
        room = (MIB - sqs_size(write_one(rejected("a", "x")))) // 2  # an account is there twice
        sizes = []
        for length in range(room - 60, room):
            parts = write(rejected("a", "x") + rejected("b" * length, "x"))
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
        parts = write(rows)
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
