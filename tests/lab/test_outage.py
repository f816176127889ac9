"""The simulated outage: nothing is given up, and what waits is removed soon after its end."""

from dataclasses import replace

import pytest

from reliability.outage import FIXED_SECONDS, Outage, broken_limits, main, replace_usersig, simulate

pytestmark = pytest.mark.slow  # hours of virtual time take seconds of a processor


def test_an_outage_loses_nothing_and_ends_when_timpush_is_back() -> None:
    outage = Outage(messages=5_000, seconds=3_600)
    result = simulate(outage, seed=7)
    assert result.dead == 0
    assert sum(result.removed.values()) == 5_000
    assert broken_limits(outage, result) == []
    assert result.removed_within(1.0) <= 300


def test_calls_during_an_outage_are_at_most_one_per_worker_in_20_seconds() -> None:
    outage = Outage(messages=5_000, seconds=4 * 3_600)
    result = simulate(outage, seed=7)
    assert 0 < result.calls <= outage.settings.concurrency * outage.seconds / 20


def test_a_message_is_given_up_where_fewer_receives_are_allowed() -> None:
    # Given a limit that an outage must exceed, the simulation can fail
    outage = Outage(messages=1_000, seconds=3_600, max_receive_count=3)
    result = simulate(outage, seed=7)
    assert result.dead == 1_000
    assert any("dead-letter" in text for text in broken_limits(outage, result))


def test_long_delays_break_the_limits() -> None:
    outage = Outage(messages=5_000, seconds=3_600)
    slow = replace(outage.settings, retry_base_seconds=900, retry_cap_seconds=3_600)
    outage = replace(outage, settings=slow)
    assert broken_limits(outage, simulate(outage, seed=7)) != []


@pytest.mark.parametrize("seed", range(3))
def test_a_replaced_usersig_is_used_soon(seed: int) -> None:
    assert 0 <= replace_usersig(seed) <= FIXED_SECONDS


def test_the_command_prints_a_row_for_each_outage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", "100", "--hours", "0.5", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "messages"
    assert [line.split()[:3] for line in lines[1:3]] == [["100", "0.5", "0"], ["100", "1", "0"]]
