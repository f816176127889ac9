"""Pauses and resumes the event source mapping between the queue and the worker."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 1.0


class MappingError(Exception):
    """Lambda did not do as asked in time; says what the mapping is."""


def switch_mapping(
    client: Any,
    mapping_id: str,
    enabled: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Enable or disable a mapping, and wait until it is; what became of it.

    Raises:
        MappingError: it is neither after two minutes.
    """
    wanted = "Enabled" if enabled else "Disabled"
    state = client.update_event_source_mapping(UUID=mapping_id, Enabled=enabled).get("State", "")
    until = clock() + PATIENCE_SECONDS
    while state != wanted:
        if clock() >= until:
            raise MappingError(f"the mapping {mapping_id} is {state}, not yet {wanted}")
        sleep(LOOK_SECONDS)
        state = client.get_event_source_mapping(UUID=mapping_id)["State"]
    return wanted
