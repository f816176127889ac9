"""The rotation's environment variables: each missing or impossible one is named, all at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timpush.errors import SettingsError
from timpush.settings import (
    MAX_VALIDITY_SECONDS,
    RotationSettings,
    read_rotation_settings,
    schedule_seconds,
)

HOUR, DAY = 3_600, 86_400


def read(**changed: object) -> RotationSettings:
    """The settings of these four variables; `changed` are set so, or left out when None."""
    variables: dict[str, object] = {
        "TIMPUSH_REGION": "tokyo",
        "TIMPUSH_ENDPOINT_URL": "",
        "SIGNING_KEY_SECRET_ID": "key",
        "USERSIG_VALIDITY_SECONDS": 3 * DAY,
    }
    return read_rotation_settings(
        {name: str(value) for name, value in (variables | changed).items() if value is not None}
    )


def fault(**changed: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**changed)
    return caught.value.message


def test_every_variable_becomes_a_setting() -> None:
    assert read() == RotationSettings("https://adminapijpn.im.qcloud.com", "key", 3 * DAY)
    assert read(TIMPUSH_ENDPOINT_URL="http://127.0.0.1:1/").endpoint_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "name", ["TIMPUSH_REGION", "SIGNING_KEY_SECRET_ID", "USERSIG_VALIDITY_SECONDS"]
)
@pytest.mark.parametrize("value", ["", None])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    assert f"{name} is missing" in fault(**{name: value})


def test_all_faults_are_named_at_once() -> None:
    text = fault(TIMPUSH_REGION="mars", SIGNING_KEY_SECRET_ID="", USERSIG_VALIDITY_SECONDS="soon")
    assert "TIMPUSH_REGION" in text
    assert "SIGNING_KEY_SECRET_ID" in text
    assert "USERSIG_VALIDITY_SECONDS" in text


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1e5", MAX_VALIDITY_SECONDS + 1])
def test_an_impossible_validity_is_refused(value: object) -> None:
    assert "USERSIG_VALIDITY_SECONDS must be" in fault(USERSIG_VALIDITY_SECONDS=value)


@pytest.mark.parametrize("schedule", [None, "", "none"])
@given(validity=st.integers(1, MAX_VALIDITY_SECONDS))
def test_without_a_schedule_any_validity_is_taken(schedule: str | None, validity: int) -> None:
    assert read(USERSIG_VALIDITY_SECONDS=validity, ROTATION_SCHEDULE=schedule).validity == validity


@pytest.mark.parametrize(
    ("schedule", "least"),
    [
        ("rate(4 hours)", 16 * HOUR),
        ("rate(12 hours)", DAY),
        ("rate(1 day)", 36 * HOUR),
        ("rate(30 days)", 30 * DAY + 12 * HOUR),
    ],
)
def test_a_usersig_must_outlive_the_next_rotation_by_half_a_day(schedule: str, least: int) -> None:
    read(USERSIG_VALIDITY_SECONDS=least, ROTATION_SCHEDULE=schedule)
    text = fault(USERSIG_VALIDITY_SECONDS=least - 1, ROTATION_SCHEDULE=schedule)
    assert text.startswith(f"USERSIG_VALIDITY_SECONDS ({least - 1}) must not be below")


@pytest.mark.parametrize(
    "value",
    ["daily", "rate(0 days)", "rate(1 week)", "rate(day)", "rate(1 day) ?", "cron(0 0 * * ? *)"],
)
def test_a_schedule_that_is_no_rate_is_refused(value: str) -> None:
    assert "ROTATION_SCHEDULE must be a rate" in fault(ROTATION_SCHEDULE=value)


def test_schedules_are_read_in_seconds() -> None:
    assert schedule_seconds("rate(12 hours)") == 12 * HOUR
    assert schedule_seconds("rate(1 day)") == DAY
    assert schedule_seconds("none") is None
