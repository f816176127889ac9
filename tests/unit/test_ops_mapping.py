"""Waiting for a mapping: until it is as wanted, and no longer than two minutes."""

from typing import Any

import pytest

from timpush_ops.mapping import MappingError, switch_mapping


class Mapping:
    """A mapping that takes a while, and the time that passes meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.enabled = seconds, 0.0, True

    def update_event_source_mapping(self, UUID: str, Enabled: bool) -> Any:  # noqa: N803
        assert UUID == "id"
        self.enabled = Enabled
        return {"State": "Enabling" if Enabled else "Disabling"}

    def get_event_source_mapping(self, UUID: str) -> Any:  # noqa: N803
        assert UUID == "id"
        if self.now < self.seconds:
            return {"State": "Disabling"}
        return {"State": "Enabled" if self.enabled else "Disabled"}

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_it_waits_until_lambda_has_done_so() -> None:
    mapping = Mapping(seconds=30)
    assert switch_mapping(mapping, "id", False, lambda: mapping.now, mapping.sleep) == "Disabled"
    assert 30 <= mapping.now < 35


def test_it_gives_up_after_two_minutes_and_says_what_the_mapping_is() -> None:
    mapping = Mapping(seconds=10_000)
    with pytest.raises(MappingError, match="is Disabling, not yet Disabled"):
        switch_mapping(mapping, "id", False, lambda: mapping.now, mapping.sleep)
    assert 120 <= mapping.now < 125
