"""A message body either keeps every rule of the contract or is refused with its faults."""

import json
from typing import Any

import pytest

from timpush.errors import MalformedMessageError
from timpush.messages import Document, parse

MANY_DIGITS = "1" + "0" * 400  # a whole number that no float can hold


def body(*users: Any, **keys: Any) -> str:
    return json.dumps({"UserTags": list(users), **keys})


def user(account: Any = "user-1", tags: Any = ("gold",)) -> dict[str, Any]:
    return {"To_Account": account, "Tags": list(tags) if isinstance(tags, tuple) else tags}


def faults(text: str | bytes) -> dict[str, str]:
    with pytest.raises(MalformedMessageError) as caught:
        parse(text)
    assert len(caught.value.faults) == len(dict(caught.value.faults)), "a place is named twice"
    return dict(caught.value.faults)


class TestWellFormed:
    def test_users_and_tags_are_read_in_their_order(self) -> None:
        text = body(user("b", ("z", "a")), user("a", ("m",)))
        assert parse(text) == Document([("b", ["z", "a"]), ("a", ["m"])], None)

    @pytest.mark.parametrize(
        "account",
        [
            "379C2F0D-290D-47AE-94D1-919058C39C77",
            "x" * 33,
            "x" * 4096,
            "名前",
            " ",
            "a\nb",
            "@TGS#1",
            "\x00",
        ],
        ids=repr,
    )
    def test_an_account_is_any_string_that_is_not_empty(self, account: str) -> None:
        assert parse(body(user(account))).users == [(account, ["gold"])]

    @pytest.mark.parametrize("tag", ["x" * 50, "é" * 25, "名" * 16 + "ab", "🏷" * 12 + "ab", " "])
    def test_a_tag_may_have_up_to_50_bytes_of_utf8(self, tag: str) -> None:
        assert parse(body(user(tags=[tag]))).users == [("user-1", [tag])]

    def test_a_tag_that_is_there_twice_counts_once_where_it_came_first(self) -> None:
        assert parse(body(user(tags=["b", "a", "b", "c", "a"]))).users[0][1] == ["b", "a", "c"]

    def test_the_same_account_may_be_there_twice(self) -> None:
        assert parse(body(user("a", ("x",)), user("a", ("y",)))).users == [
            ("a", ["x"]),
            ("a", ["y"]),
        ]

    def test_there_is_no_bound_on_users_and_tags_but_the_size_of_a_message(self) -> None:
        many = body(
            *(user(f"u{n}") for n in range(2501)), user("long", [f"t{n}" for n in range(999)])
        )
        assert [len(tags) for _, tags in parse(many).users] == [1] * 2501 + [999]

    def test_unknown_keys_are_ignored_wherever_they_are(self) -> None:
        extra = {"Errors": [{"ErrorCode": 1}], "SourceMessageId": "m", "": None, "usertags": 5}
        assert parse(body(user() | extra, **extra)) == parse(body(user()))

    def test_bytes_are_read_as_utf8(self) -> None:
        assert parse('{"UserTags":[{"To_Account":"é","Tags":["名"]}]}'.encode()).users == [
            ("é", ["名"])
        ]

    def test_escaped_surrogate_pairs_are_one_character(self) -> None:
        assert parse(body(user(tags=["🏷"]))).users[0][1] == ["🏷"]

    @pytest.mark.parametrize("value", [1_800_000_000, 1_800_000_000.5, 1.8e9, 0, -1, 253402300799])
    def test_not_after_is_a_time_in_unix_seconds(self, value: float) -> None:
        assert parse(body(user(), NotAfter=value)).not_after == value

    def test_without_not_after_there_is_none(self) -> None:
        assert parse(body(user())).not_after is None


class TestRules:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[]", ""),
            ("null", ""),
            ('"UserTags"', ""),
            ("5", ""),
            ("{}", "/UserTags"),
            ('{"usertags": [{"To_Account": "a", "Tags": ["x"]}]}', "/UserTags"),
            ('{"UserTags": null}', "/UserTags"),
            ('{"UserTags": []}', "/UserTags"),
            ('{"UserTags": {}}', "/UserTags"),
            ('{"UserTags": "ab"}', "/UserTags"),
            (body("user-1"), "/UserTags/0"),
            (body(None), "/UserTags/0"),
            (body([]), "/UserTags/0"),
            (body(user(), 5), "/UserTags/1"),
            (body({"Tags": ["x"]}), "/UserTags/0/To_Account"),
            (body(user("")), "/UserTags/0/To_Account"),
            (body(user(7)), "/UserTags/0/To_Account"),
            (body(user(None)), "/UserTags/0/To_Account"),
            (body(user(["a"])), "/UserTags/0/To_Account"),
            (body(user("\ud800")), "/UserTags/0/To_Account"),
            (body({"To_Account": "a"}), "/UserTags/0/Tags"),
            (body(user(tags=[])), "/UserTags/0/Tags"),
            (body(user(tags=None)), "/UserTags/0/Tags"),
            (body(user(tags="gold")), "/UserTags/0/Tags"),
            (body(user(tags={"gold": 1})), "/UserTags/0/Tags"),
            (body(user(tags=[""])), "/UserTags/0/Tags/0"),
            (body(user(tags=["gold", None])), "/UserTags/0/Tags/1"),
            (body(user(tags=["gold", ["x"]])), "/UserTags/0/Tags/1"),
            (body(user(tags=[{}])), "/UserTags/0/Tags/0"),
            (body(user(tags=[1])), "/UserTags/0/Tags/0"),
            (body(user(tags=["x\udfff"])), "/UserTags/0/Tags/0"),
            (body(user(), user(), user(tags=["a", "x" * 51])), "/UserTags/2/Tags/1"),
            (body(user(tags=["é" * 26])), "/UserTags/0/Tags/0"),
            (body(user(tags=["名" * 17])), "/UserTags/0/Tags/0"),
            (body(user(tags=["🏷" * 13])), "/UserTags/0/Tags/0"),
        ],
    )
    def test_each_fault_is_named_by_its_pointer(self, text: str, place: str) -> None:
        assert list(faults(text)) == [place]

    def test_the_length_of_a_tag_that_is_too_long_is_said(self) -> None:
        rule = faults(body(user(tags=["é" * 26])))["/UserTags/0/Tags/0"]
        assert "50 bytes" in rule
        assert "52" in rule

    @pytest.mark.parametrize(
        "value",
        [
            "null",
            "true",
            "[1]",
            '"1800000000"',
            "1800000000000",
            "253402300800",
            "1e400",
            "-1e400",
            MANY_DIGITS,
            f"-{MANY_DIGITS}",
        ],
        ids=lambda text: text[:16],
    )
    def test_not_after_that_is_no_time_in_seconds_is_a_fault(self, value: str) -> None:
        text = body(user())[:-1] + f', "NotAfter": {value}}}'
        assert list(faults(text)) == ["/NotAfter"]

    def test_several_faults_are_named_together(self) -> None:
        text = body(user(""), user(tags=["ok", "x" * 51, ""]), NotAfter="soon")
        assert list(faults(text)) == [
            "/UserTags/0/To_Account",
            "/UserTags/1/Tags/1",
            "/UserTags/1/Tags/2",
            "/NotAfter",
        ]

    @pytest.mark.parametrize("count", [50, 51, 5000])
    def test_at_most_50_faults_are_named(self, count: int) -> None:
        assert len(faults(body(*[user("")] * count))) == 50
        assert len(faults(body(user(tags=[""] * count)))) == 50

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ('{"UserTags": [], "UserTags": [{"To_Account": "a", "Tags": ["x"]}]}', ""),
            (
                '{"UserTags": [{"To_Account": "a", "To_Account": "b", "Tags": ["x"]}]}',
                "/UserTags/0",
            ),
            ('{"UserTags": [{"To_Account": "a", "Tags": ["x"], "Tags": ["y"]}]}', "/UserTags/0"),
            ('{"NotAfter": 1, "NotAfter": 2, "UserTags": [{"To_Account":"a","Tags":["x"]}]}', ""),
        ],
    )
    def test_a_key_that_is_there_twice_leaves_open_what_was_meant(
        self, text: str, place: str
    ) -> None:
        assert list(faults(text)) == [place]


class TestNoJson:
    @pytest.mark.parametrize(
        "text",
        ["", " ", "{", "user-1", "{'UserTags': []}", body(user()) + "x", "\ufeff" + body(user())]
        + [body(user())[:-1] + f', "x": {word}}}' for word in ("NaN", "Infinity", "-Infinity")]
        + [body(user())[:-1] + ', "NotAfter": NaN}', "\x00", "9" * 5000],
        ids=lambda text: repr(text[-16:]),
    )
    def test_what_is_no_json_is_one_fault_of_the_body(self, text: str) -> None:
        assert list(faults(text)) == [""]

    @pytest.mark.parametrize("data", [b"\xff\xfe", b'{"UserTags": "\xc3"}', b""], ids=repr)
    def test_bytes_that_are_no_text_are_one_fault_of_the_body(self, data: bytes) -> None:
        assert list(faults(data)) == [""]

    @pytest.mark.parametrize("opening", ["[", '{"a":', '{"UserTags":[', '[{"To_Account":'])
    @pytest.mark.parametrize("depth", [1_000, 100_000])
    def test_deep_nesting_is_a_fault_and_no_crash(self, opening: str, depth: int) -> None:
        assert "" in faults(opening * depth)

    @pytest.mark.parametrize("depth", [100, 500_000])
    def test_deep_nesting_under_an_unknown_key_never_crashes(self, depth: int) -> None:
        text = body(user())[:-1] + f', "x": {"[" * depth}{"]" * depth}}}'
        assert depth == 100 or list(faults(text)) == [""]
        assert depth > 100 or parse(text) == parse(body(user()))

    def test_the_text_of_the_error_stays_short_and_names_the_body(self) -> None:
        with pytest.raises(
            MalformedMessageError, match=r"^Malformed: body must be JSON: "
        ) as caught:
            parse("x" * 100_000)
        assert len(str(caught.value)) < 200
