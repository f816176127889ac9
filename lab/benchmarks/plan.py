"""How much is measured: all of it, or a little of each to see that it still runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of the measurements. Latencies and seconds are in seconds, sizes in messages.

    A size of 0 is that of the largest event.
    """

    repetitions: int = 3
    latencies: tuple[float, ...] = (0.03, 0.1, 0.3)
    cost_latency: float = 0.1
    environments: int = 4
    warm_up_seconds: float = 0.75
    window_seconds: float = 3.0
    messages: int = 1_000
    packed_messages: int = 100
    sizes: tuple[int, ...] = (10, 100, 1_000, 8_500)
    large: int = 8_500
    middle: int = 1_000
    packed_sizes: tuple[int, ...] = (10, 0)
    waiting_latency: float = 0.01
    waiting_messages: int = 500
    cost_messages: tuple[tuple[int, int], ...] = ((1, 1_000), (10, 100), (100, 100))
    peer_cost_messages: int = 10
    cold_starts: int = 9
    memory_sizes: tuple[tuple[int, int], ...] = ((8_500, 1), (0, 100))
    profiled_batches: int = 8


FULL = Plan()
SMOKE = Plan(
    repetitions=1,
    latencies=(0.03,),
    cost_latency=0.03,
    environments=2,
    warm_up_seconds=0.3,
    window_seconds=0.5,
    messages=100,
    packed_messages=10,
    sizes=(10, 100),
    large=100,
    middle=10,
    packed_sizes=(10,),
    waiting_messages=20,
    cost_messages=((1, 100), (10, 10), (100, 10)),
    cold_starts=1,
    memory_sizes=((100, 1), (10, 100)),
    profiled_batches=30,
)
