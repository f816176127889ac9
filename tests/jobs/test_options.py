"""Metadata of an upload -> options."""

import pytest

from timpush.jobs.options import Options, OptionsError, read_options


def test_without_metadata_all_is_default() -> None:
    assert read_options({}) == Options(None, "", "|", "stop", False, "")


def test_each_option_is_read() -> None:
    metadata = {
        "Not-After": "2027-01-31T18:00:00+08:00",
        "message-group-id": "win-back",
        "separator": ";",
        "on-fault": "skip",
        "dry-run": "true",
        "requested-by": "=?UTF-8?B?w4RubmU=?=",
    }
    assert read_options(metadata) == Options(1_801_389_600.0, "win-back", ";", "skip", True, "Änne")


def test_the_document_of_options_reads_back() -> None:
    options = Options(1_800_000_000.5, "g", ";", "skip", True, "x")
    assert Options.from_document(options.to_document()) == options


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({"dryrun": "true"}, "dryrun is no option"),
        ({"dry-run": "yes"}, "dry-run must be false or true"),
        ({"on-fault": "ignore"}, "on-fault must be stop or skip"),
        ({"separator": "||"}, "separator must be one character"),
        ({"separator": ","}, "separator must be one character"),
        ({"not-after": "tomorrow"}, "not-after must be Unix seconds"),
        ({"not-after": "nan"}, "not-after must be Unix seconds"),
        ({"not-after": "2027-01-31T18:00:00"}, "not-after must be Unix seconds"),
        ({"not-after": "1800000000000"}, "not-after must be Unix seconds"),
        ({"message-group-id": "a b"}, "message-group-id must be 1 to 128"),
        ({"requested-by": "x" * 501}, "requested-by must be at most 500"),
    ],
)
def test_each_fault_is_named(metadata: dict[str, str], rule: str) -> None:
    with pytest.raises(OptionsError, match="^" + rule.replace("|", r"\|")):
        read_options(metadata)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(OptionsError, match=r"a is no option.*; dry-run must be"):
        read_options({"a": "b", "dry-run": "maybe"})
