"""What one run measured."""

from dataclasses import dataclass

from benchmarks.cold_path import ColdPath
from benchmarks.cost import Cost
from benchmarks.memory import Memory
from benchmarks.plan import Plan
from benchmarks.processor_cost import ProcessorCost
from benchmarks.profiling import Profile
from benchmarks.throughput import Throughput


@dataclass(frozen=True)
class Results:
    """All comparisons of one run. `seconds` is how long it took, `artefact` is in bytes."""

    plan: Plan
    date: str
    machine: list[tuple[str, str]]
    throughput: Throughput
    processor: ProcessorCost
    profile: Profile
    cold: ColdPath
    memory: Memory
    cost: Cost
    artefact: dict[str, int]
    seconds: float
