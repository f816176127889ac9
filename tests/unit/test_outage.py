"""The simulated outage: nothing is given up, work resumes within the cap."""

import random

from reliability.outage import Outage, simulate


def test_four_hours_lose_nothing_and_work_resumes_within_the_cap() -> None:
    # Given a queue of messages and TIMPush down for four hours
    outage = Outage(messages=5_000)
    # When it is over
    result = simulate(outage, random.Random(7))
    # Then no message is on the dead-letter queue, and each was seen again within the cap
    assert result.dead == 0
    assert max(result.receives) <= outage.max_receive_count
    assert 0 <= result.resumed <= outage.cap
    assert result.drained <= outage.cap + 10


def test_a_single_message_is_tried_again_within_the_cap() -> None:
    outage = Outage(messages=1)
    waits = [simulate(outage, random.Random(seed)).resumed for seed in range(50)]
    assert 0 < max(waits) <= outage.cap


def test_without_a_backoff_messages_would_be_given_up() -> None:
    # Given a cap of a second, the simulation can fail
    result = simulate(Outage(messages=1_000, base=1, cap=1), random.Random(7))
    assert result.dead == 1_000
