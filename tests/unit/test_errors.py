"""The tree of errors, and the class of each of Tencent's codes, said here once more."""

import re
from collections.abc import Iterator

import pytest

from timpush import errors
from timpush.errors import (
    CallError,
    ConfigurationError,
    CredentialsError,
    InputError,
    MalformedMessageError,
    RateLimitError,
    SecretError,
    SettingsError,
    TimPushError,
    TransientError,
    UnknownError,
    UserSigError,
)
from timpush.tencent.codes import (
    ACCOUNT_CODES,
    CODES,
    SEARCHED_CODES,
    USERSIG_CODES,
    call_error,
    explain,
    meaning,
)

# Where Tencent's text allows two readings, the code stands under the first. A fault of ours (a
# wrong URL, say) is fixed like a wrong configuration.
TABLE: dict[type[CallError], str] = {
    TransientError: """
        60004 60005 60008 60013 60014
        70017 70169 70201-70203 70205 70207 70208 70212 70213 70222 70225 70231 70308 70348 70362
        70401 70500
        10002 20004 20005
        90994 90995 91000
    """,
    RateLimitError: "60007 60011 60018 60019",
    CredentialsError: """
        60010 60025
        70001-70010 70013 70014 70018 70019 70050-70052 70214 70221 70236 70346 70347 70403
        90009
    """,
    ConfigurationError: """
        60002 60006 60009 60012 60016 60017 60020 60021 60026-60028
        70015 70016 70020 70114 70115 70140 70145 70204 70209-70211 70398
        71000 72000-72002 72010-72012
        80005 90045
    """,
    InputError: """
        60003 60015
        70101-70107 70113 70206 70399 70402
        90001 90018 90020 90032 90034 90035 90048
    """,
}
UNLISTED = """
    0 -1 1 200 59999 60000 60001 60022-60024 60029 70000 70100 70404 72003
    90002 90022 90024 90026 90033 90039 90040 90047 90049-90053 90056 90992 99999 2147483648
"""
RETRYABLE = {
    TransientError: True,
    RateLimitError: True,
    CredentialsError: True,
    ConfigurationError: True,
    UnknownError: True,
    InputError: False,
}
LABELS = {
    TransientError: "transient",
    RateLimitError: "rate_limited",
    CredentialsError: "credentials",
    ConfigurationError: "configuration",
    UnknownError: "unknown",
    InputError: "input",
}


def numbers(text: str) -> Iterator[int]:
    for word in text.split():
        first, _, last = word.partition("-") if word[0] != "-" else (word, "", "")
        yield from range(int(first), int(last or first) + 1)


EXPECTED = {code: kind for kind, text in TABLE.items() for code in numbers(text)}


class TestCodes:
    @pytest.mark.parametrize("code", sorted(EXPECTED))
    def test_a_documented_code_has_its_class(self, code: int) -> None:
        error = call_error(code, "what TIMPush said")
        assert type(error) is EXPECTED[code]
        assert (error.code, error.message) == (code, "what TIMPush said")

    def test_no_code_is_classed_but_those(self) -> None:
        assert set(CODES) == set(EXPECTED)

    @pytest.mark.parametrize("code", list(numbers(UNLISTED)))
    def test_any_other_code_is_unknown_and_never_hopeless(self, code: int) -> None:
        error = call_error(code, "")
        assert type(error) is UnknownError
        assert error.code == code
        assert error.retryable

    @pytest.mark.parametrize("code", [70011, 70012, 70053, 70099])
    def test_an_unlisted_code_about_the_usersig_is_a_refused_usersig(self, code: int) -> None:
        assert code not in CODES
        assert type(call_error(code, "")) is CredentialsError
        assert min(USERSIG_CODES) == 70001
        assert max(USERSIG_CODES) == 70099

    def test_codes_to_search_for_are_of_the_configuration(self) -> None:
        assert 60002 in SEARCHED_CODES
        assert {EXPECTED[code] for code in SEARCHED_CODES} == {ConfigurationError}

    def test_codes_that_speak_of_an_account_are_input(self) -> None:
        assert {60015, 70107, 90048} <= ACCOUNT_CODES
        assert {EXPECTED[code] for code in ACCOUNT_CODES} == {InputError}

    def test_one_fact_has_one_name(self) -> None:
        assert meaning(70107) == meaning(90048) == "account not imported"


class TestErrors:
    @pytest.mark.parametrize("kind", RETRYABLE)
    def test_only_hopeless_input_is_not_worth_another_try(self, kind: type[CallError]) -> None:
        assert kind(1, "").retryable is RETRYABLE[kind]
        assert kind(1, "").label == LABELS[kind]

    def test_the_text_holds_code_and_message(self) -> None:
        assert str(call_error(70107, "not imported")) == "70107: not imported"
        assert str(call_error(70107, "")) == "70107"

    def test_an_explained_error_tells_its_meaning(self) -> None:
        assert explain(call_error(70009, "no")) == "70009: no (signature made with another key)"
        assert explain(call_error(12345, "no")) == "12345: no"

    def test_a_meaning_is_empty_when_no_source_gives_one(self) -> None:
        assert "region" in meaning(70020)
        assert "daily" in meaning(60028)
        assert meaning(70004) == ""
        assert meaning(12345) == ""
        assert meaning("Dropped") == ""

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (SettingsError("QUEUE_URL is missing"), "QUEUE_URL is missing"),
            (SecretError("cannot be read"), "cannot be read"),
            (UserSigError("has expired"), "has expired"),
            (MalformedMessageError([("", "must be JSON"), ("/a", "is odd")]), "body must be JSON"),
        ],
    )
    def test_every_error_says_what_is_wrong(self, error: TimPushError, text: str) -> None:
        assert text in str(error)
        assert text in error.message

    def test_a_malformed_message_names_every_fault(self) -> None:
        error = MalformedMessageError([("", "must be JSON"), ("/UserTags/0", "is odd")])
        assert error.message == "body must be JSON; /UserTags/0 is odd"


def printed_tree() -> list[tuple[str, int]]:
    """(name, depth) of each line of the tree in the module's docstring."""
    lines = re.findall(r"^([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    return [(name, len(indent) // 4) for indent, name in lines]


def real_tree(kind: type[TimPushError], depth: int = 0) -> Iterator[tuple[str, int]]:
    yield kind.__name__, depth
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from real_tree(child, depth + 1)


class TestTree:
    def test_the_tree_in_the_docstring_is_the_tree_of_the_classes(self) -> None:
        assert printed_tree() == list(real_tree(TimPushError))
        assert len(printed_tree()) > 10

    def test_no_error_of_the_module_stands_outside_the_tree(self) -> None:
        kinds = [one for one in vars(errors).values() if isinstance(one, type)]
        assert all(issubclass(kind, TimPushError) for kind in kinds)
