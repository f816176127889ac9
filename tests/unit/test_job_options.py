"""A job's options: what is written into metadata is read back, and each rule is named."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import EXAMPLES
from timpush.jobs.options import (
    MAX_REQUESTED_BY,
    Options,
    OptionsError,
    check_ahead,
    read_fields,
    read_moment,
    read_options,
    write_options,
)
from timpush.messages import MAX_NOT_AFTER

printable = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp", "Zs")), max_size=MAX_REQUESTED_BY
)
options = st.builds(
    Options,
    not_after=st.none() | st.floats(-MAX_NOT_AFTER, MAX_NOT_AFTER),
    message_group_id=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S"))).map(
        lambda text: text[:128]
    ),
    separator=st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"]),
    on_fault=st.sampled_from(["stop", "skip"]),
    dry_run=st.booleans(),
    requested_by=printable | st.just("Ann (CRM) 100 %") | st.just("%41"),
)


@EXAMPLES
@given(options)
def test_metadata_is_read_as_the_options_that_were_written(wanted: Options) -> None:
    metadata = write_options(wanted)
    assert all(value.isascii() and value.isprintable() for value in metadata.values())
    assert all(value == value.strip() for value in metadata.values())
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2_048
    assert read_options(metadata) == wanted


def test_defaults_are_not_written() -> None:
    assert write_options(Options()) == {}
    assert read_options({}) == Options()


def test_text_that_is_not_encoded_is_read_as_it_stands() -> None:
    read = read_options({"requested-by": "Ann (CRM), spring", "separator": ";"})
    assert (read.requested_by, read.separator) == ("Ann (CRM), spring", ";")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("not-after", "soon", "such as 2027-01-31T18:00:00+08:00"),
        ("not-after", "2027-01-31T18:00:00", "such as 2027-01-31T18:00:00+08:00"),
        ("not-after", "1800000000000", "must be in seconds, not milliseconds"),
        ("not-after", "nan", "must be in seconds"),
        ("message-group-id", "two words", "must be at most 128"),
        ("message-group-id", "x" * 129, "must be at most 128"),
        ("separator", "||", "must be one character"),
        ("separator", "%22", "must be one character"),
        ("separator", "%FF", "must be one character"),
        ("on-fault", "Skip", "must be stop or skip"),
        ("dry-run", "yes", "must be true or false"),
        ("requested-by", "x" * 129, "must be text of at most 128 characters"),
        ("requested-by", "a%0Ab", "must hold no control characters"),
        ("requested-by", "%FF", "must be text"),
        ("dry_run", "true", "must be written dry-run"),
        ("notafter", "1", "must be written not-after"),
    ],
)
def test_a_broken_rule_is_named_with_its_option(name: str, value: str, rule: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read_options({name: value, "mtime": "1"})
    [(option, text)] = caught.value.faults
    assert option == name
    assert rule in text
    assert f"{name} {text}" in str(caught.value)


def test_text_that_s3_encoded_itself_is_read() -> None:
    read = read_options({"requested-by": "=?UTF-8?B?5p2O5ZCN?=", "on-fault": " "})
    assert read == Options(requested_by="李名")


def test_the_document_shows_each_by_its_name_as_text() -> None:
    shown = Options(not_after=4_102_444_800.0, dry_run=True).to_document()
    assert shown == {
        "not-after": "4102444800.0",
        "message-group-id": "",
        "separator": "|",
        "on-fault": "stop",
        "dry-run": "true",
        "requested-by": "",
    }


@EXAMPLES
@given(options)
def test_the_document_is_read_as_the_options_that_it_shows(wanted: Options) -> None:
    assert Options.from_document(wanted.to_document()) == wanted


def test_metadata_of_other_tools_is_ignored() -> None:
    assert read_options({"mtime": "1764000000", "s3cmd-attrs": "x"}) == Options()


def test_fields_may_be_numbers_and_booleans() -> None:
    assert read_fields({"not-after": 4_102_444_800, "dry-run": True}) == Options(
        not_after=4_102_444_800.0, dry_run=True
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("not-after", True),
        ("not-after", None),
        ("not-after", 10**400),
        ("not-after", []),
        ("message-group-id", 7),
        ("separator", None),
        ("on-fault", ["stop"]),
        ("dry-run", 1),
        ("requested-by", {}),
        ("other", "x"),
    ],
)
def test_fields_of_another_type_or_name_are_faults(name: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        read_fields({name: value})
    assert [option for option, _ in caught.value.faults] == [name]


def test_a_time_with_an_offset_is_read() -> None:
    assert read_moment("2100-01-01T08:00:00+08:00") == 4_102_444_800


def test_a_time_that_has_passed_is_refused() -> None:
    check_ahead(time.time() + 60, time.time())
    with pytest.raises(ValueError, match="is in the past"):
        check_ahead(1.0, time.time())
