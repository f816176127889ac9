"""A reply of TIMPush is read for what it says of each user, and taken for nothing else."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timpush.errors import (
    CallError,
    ConfigurationError,
    CredentialsError,
    FailWithoutCodeError,
    InputError,
    OddReplyError,
    RateLimitError,
    TransientError,
    UnknownError,
)
from timpush.tencent.replies import Failures, read_failures

SENT = {"ann", "bob", "名前"}
USERSIG = "eJyrVgrxCdYrSy1SslJQ*MtIzUNJRAItkpqTml-Wm_Zk__"
OK: dict[str, Any] = {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}


def read(reply: Any, status: int = 200) -> Failures:
    data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return read_failures(status, data, SENT, USERSIG)


def refusal(reply: Any, status: int = 200) -> CallError:
    with pytest.raises(CallError) as caught:
        read(reply, status)
    assert caught.value.__context__ is None, "what it was raised from may hold the reply"
    return caught.value


def row(account: Any = "ann", code: Any = 70107, **more: Any) -> dict[str, Any]:
    return {"To_Account": account, "ErrorCode": code, **more}


def listing(*rows: Any) -> dict[str, Any]:
    return OK | {"ErrorList": list(rows)}


class TestDone:
    @pytest.mark.parametrize(
        "reply",
        [OK, listing(), {"ActionStatus": "OK", "ErrorCode": 0}, OK | {"RequestId": "r", "X": [1]}],
        ids=" ".join,
    )
    def test_without_an_error_list_all_are_done(self, reply: dict[str, Any]) -> None:
        assert read(reply) == {}

    def test_listed_users_failed_each_with_its_own_code_and_the_others_are_done(self) -> None:
        failures = read(listing(row("ann", 70107), row("名前", 91000, ErrorInfo="again")))
        assert {account: (type(e), e.code, e.message) for account, e in failures.items()} == {
            "ann": (InputError, 70107, ""),
            "名前": (TransientError, 91000, "again"),
        }

    def test_all_users_may_be_listed(self) -> None:
        assert set(read(listing(*map(row, SENT)))) == SENT

    @pytest.mark.parametrize("codes", [(70107, 91000), (91000, 70107), (70107, 99999)])
    def test_a_user_listed_twice_is_not_hopeless_if_one_of_the_codes_is_not(
        self, codes: tuple[int, int]
    ) -> None:
        failures = read(listing(row("ann", codes[0]), row("ann", codes[1])))
        assert failures["ann"].retryable

    def test_an_undocumented_code_of_a_user_is_unknown(self) -> None:
        assert type(read(listing(row(code=12345)))["ann"]) is UnknownError


class TestWholeCall:
    @pytest.mark.parametrize("action", ["OK", "FAIL"])
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (91000, TransientError),
            (60007, RateLimitError),
            (70001, CredentialsError),
            (60026, ConfigurationError),
            (90018, InputError),
            (12345, UnknownError),
            (-1, UnknownError),
            (10**30, UnknownError),
        ],
    )
    def test_another_code_than_0_fails_the_call_by_class(
        self, action: str, code: int, kind: type[CallError]
    ) -> None:
        error = refusal({"ActionStatus": action, "ErrorCode": code, "ErrorInfo": "why"})
        assert (type(error), error.code, error.message) == (kind, code, "why")

    def test_fail_with_code_0_fails_the_call_for_a_reason_of_its_own_class(self) -> None:
        error = refusal(OK | {"ActionStatus": "FAIL", "ErrorInfo": "odd"})
        assert (type(error), error.code, error.message) == (FailWithoutCodeError, 0, "odd")

    def test_an_error_list_of_a_failed_call_changes_nothing(self) -> None:
        reply = listing(row()) | {"ActionStatus": "FAIL", "ErrorCode": 70001}
        assert type(refusal(reply)) is CredentialsError


class TestOdd:
    @pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 404, 429, 500, 502, 503, 504])
    def test_another_status_than_200_is_transient_whatever_the_body_says(self, status: int) -> None:
        for body in (OK, OK | {"ErrorCode": 70107, "ActionStatus": "FAIL"}, b"<html>"):
            error = refusal(body, status)
            assert (type(error), error.code) == (OddReplyError, f"HTTP{status}")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"\x00",
            b"\xff\xfe",
            b"<html>502</html>",
            b"OK",
            b"null",
            b"[]",
            b"0",
            b'"OK"',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            json.dumps(OK).encode()[:-1],
            json.dumps(OK).encode() * 2,
            b'{"ActionStatus":"OK","ErrorCode":' + b"9" * 5_000 + b"}",
            b'{"ActionStatus":"OK","ErrorCode":"\xc3"}',
        ],
        ids=lambda body: repr(body[:16]),
    )
    def test_what_is_no_json_object_is_transient(self, body: bytes) -> None:
        error = refusal(body)
        assert (type(error), error.code) == (OddReplyError, "NotJSON")

    @pytest.mark.parametrize(
        "reply",
        [
            {},
            {"ActionStatus": "OK"},
            {"ErrorCode": 0},
            OK | {"ErrorCode": "0"},
            OK | {"ErrorCode": None},
            OK | {"ErrorCode": False},
            OK | {"ErrorCode": 0.0},
            OK | {"ErrorCode": [0]},
            OK | {"ErrorCode": "70107", "ActionStatus": "FAIL"},
            OK | {"ActionStatus": None},
            OK | {"ActionStatus": "ok"},
            OK | {"ActionStatus": ["OK"]},
            OK | {"ActionStatus": {}},
            OK | {"ErrorList": None},
            OK | {"ErrorList": {}},
            OK | {"ErrorList": {"To_Account": "ann", "ErrorCode": 70107}},
            OK | {"ErrorList": "ann"},
            OK | {"ErrorList": 0},
            listing(None),
            listing("ann"),
            listing([]),
            listing({}),
            listing({"To_Account": "ann"}),
            listing({"ErrorCode": 70107}),
            listing(row(code="70107")),
            listing(row(code=None)),
            listing(row(code=True)),
            listing(row(code=70107.0)),
            listing(row(account="carl")),
            listing(row(account="Ann")),
            listing(row(account="")),
            listing(row(account=None)),
            listing(row(account=["ann"])),
            listing(row("ann"), row("carl")),
        ],
        ids=str,
    )
    def test_json_of_another_shape_is_transient(self, reply: dict[str, Any]) -> None:
        error = refusal(reply)
        assert (type(error), error.code) == (OddReplyError, "OddReply")


HIDDEN: list[dict[str, Any]] = [
    {"errorlist": [row()]},
    {"errorList": [row()]},
    {"ErrorAccounts": [row()]},
    {"FailList": [{"To_Account": "ann"}]},
    {"FailAccounts": ["ann"]},
    {"ErrorItems": [{"UserID": "ann", "ErrorCode": 70107}]},
    {"ResultItem": [{"To_Account": "somebody", "ResultCode": 70107}]},
    {"ResultItem": [{"to_account": 5}]},
    {"Failed": {"ann": 70107}},
    {"Result": {"ErrorList": [row()]}},
    {"Data": [[{"Deep": {"Deeper": [{"Account": "名前"}]}}]]},
    {"ErrorInfo": {"ErrorList": [row()]}},
    {"ErrorInfo": ["ann"]},
    listing(row("ann", 70107, Others=[row("bob")])),
    {"UserTags": [{"To_Account": "ann", "Tags": ["gold"]}]},
]


class TestHiddenFailures:
    @pytest.mark.parametrize("more", HIDDEN, ids=str)
    def test_a_success_beside_which_an_account_is_named_is_odd(self, more: dict[str, Any]) -> None:
        error = refusal(OK | more)
        assert (type(error), error.code) == (OddReplyError, "OddReply")

    def test_the_message_names_the_key(self) -> None:
        assert "'FailList'" in refusal(OK | {"FailList": [row()]}).message
        key = f"x{USERSIG}\n" + "y" * 100
        message = refusal(OK | {key: [row()]}).message
        assert "x*** yyy" in message
        assert len(message) < 100

    @pytest.mark.parametrize(
        "more",
        [
            {"RequestId": "ann"},
            {"Cost": 5, "Done": True, "Nothing": None, "Rate": 0.5},
            {"Numbers": [1, 2, 3], "Texts": ["a", "b"], "Empty": [], "None": {}},
            {"Trace": {"Host": "h", "Spans": [{"Id": 1}]}},
            {"ErrorInfo": "ann"},
            {"ErrorInfo": ["nothing"]},
            {"Deep": json.loads("[" * 900 + "]" * 900)},
        ],
        ids=" ".join,
    )
    def test_other_unknown_keys_are_harmless(self, more: dict[str, Any]) -> None:
        assert read(OK | more) == {}

    def test_keys_that_hold_what_was_asked_for_are_known(self) -> None:
        asked = OK | {"UserTags": [{"To_Account": "ann", "Tags": ["gold"]}]}
        data = json.dumps(asked).encode()
        assert read_failures(200, data, SENT, USERSIG, frozenset({"UserTags"})) == {}

    @pytest.mark.parametrize(
        "body",
        [
            b'{"ActionStatus":"OK","ErrorCode":91000,"ErrorCode":0}',
            b'{"ActionStatus":"OK","ErrorCode":0,"ErrorCode":0}',
            b'{"ActionStatus":"FAIL","ErrorCode":0,"ActionStatus":"OK"}',
            b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":[{"X":1}],"ErrorList":[]}',
            b'{"ActionStatus":"OK","ErrorCode":0,"ErrorList":[{"To_Account":"a","To_Account":"b"}]}',
            b'{"ActionStatus":"OK","ErrorCode":0,"X":{"Y":{"a":1,"a":1}}}',
            b'{"ActionStatus":"FAIL","ErrorCode":70107,"\\u0045rrorCode":91000}',
        ],
        ids=lambda body: body.decode()[-40:],
    )
    def test_a_key_that_comes_twice_is_odd(self, body: bytes) -> None:
        error = refusal(body)
        assert (type(error), error.code) == (OddReplyError, "OddReply")
        assert "twice" in error.message

    def test_a_row_with_code_0_says_that_its_user_succeeded(self) -> None:
        failures = read(listing(row("ann", 0), row("bob", 70107), row("名前", 0, ErrorInfo="ok")))
        assert set(failures) == {"bob"}

    @pytest.mark.parametrize("codes", [(0, 70107), (91000, 0)])
    def test_a_row_that_says_success_and_one_that_does_not_are_odd(
        self, codes: tuple[int, int]
    ) -> None:
        assert type(refusal(listing(*(row("ann", code) for code in codes)))) is OddReplyError


class TestErrorInfo:
    @pytest.mark.parametrize("info", [None, 5, ["x"], {"a": 1}, True])
    def test_what_is_no_text_is_left_out(self, info: Any) -> None:
        assert read(listing(row(ErrorInfo=info)))["ann"].message == ""

    def test_it_is_cut_and_made_printable(self) -> None:
        info = "a\nb\x1b[31m\ud800\u202e" + "é" * 10_000
        message = read(listing(row(ErrorInfo=info)))["ann"].message
        assert message.startswith("a b [31m  é")
        assert len(message) == 500

    @pytest.mark.parametrize(
        "spelling", [USERSIG, quote_plus(USERSIG), USERSIG.replace("*", "%2a")], ids=len
    )
    def test_a_usersig_that_is_repeated_is_taken_out_wherever_it_stands(
        self, spelling: str
    ) -> None:
        info = f"bad usersig={spelling}&identifier=admin, " + "x" * 400 + spelling
        failed = OK | {"ActionStatus": "FAIL", "ErrorCode": 70003, "ErrorInfo": info}
        for error in (read(listing(row(ErrorInfo=info)))["ann"], refusal(failed)):
            shown = f"{error!s} {error!r} {error.args}"
            assert "usersig=***&identifier=admin" in shown
            assert spelling[:12] not in shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {"To_Account": st.sampled_from(sorted(SENT)) | JSON, "ErrorCode": st.integers() | JSON},
    optional={"ErrorInfo": JSON},
)
REPLIES = st.fixed_dictionaries(
    {"ActionStatus": st.just("OK") | JSON, "ErrorCode": st.just(0) | JSON},
    optional={"ErrorList": st.lists(ROWS | JSON) | JSON, "ErrorInfo": JSON},
)


class TestAnyReply:
    @given(REPLIES | JSON)
    def test_json_that_is_anything_is_read_or_fails_the_call(self, reply: Any) -> None:
        assert users_it_blames(json.dumps(reply).encode()) <= SENT

    @given(st.binary())
    def test_bytes_that_are_anything_are_read_or_fail_the_call(self, data: bytes) -> None:
        assert users_it_blames(data) <= SENT


def users_it_blames(data: bytes) -> set[str]:
    try:
        return set(read(data))
    except CallError:
        return set()
