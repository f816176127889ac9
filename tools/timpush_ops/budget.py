"""Changes the budget of a running stack, so that old and new values are never used together.

CloudFormation updates the worker before its event source mapping, and environments with the old
values finish what they hold: lowered in place, concurrency or calls would exceed the budget for
minutes. So the mapping is paused, what runs is waited for, the stack is updated, and the mapping is
resumed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from timpush_ops.mapping import switch_mapping

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient

UPDATE_SECONDS = 1_200.0
LOOK_SECONDS = 5.0
CONSISTENT = ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "unchanged")
"""After these, function and mapping have the same values, all new or all old."""
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
"""Those of samconfig.toml."""


class BudgetError(Exception):
    """The stack was not updated; says what state stack and mapping are in."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The clock that the command waits by, and how it reports what it does."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def change_budget(
    stacks: "CloudFormationClient",
    functions: "LambdaClient",
    stack_name: str,
    target: Mapping[str, str],
    changed: Mapping[str, str],
    patience: Patience,
) -> None:
    """Pause, wait for running invocations, update the stack's parameters, resume.

    `target` holds the stack's mapping_id and function_name; `changed` the parameters that change. A
    mapping that was paused before is paused afterwards, also where the update enabled it.

    Raises:
        BudgetError: the stack has no such parameter or does not take the value, or CloudFormation
            refused or undid the update.
        MappingError: Lambda did not pause or resume the mapping in time.
        KeyboardInterrupt: the mapping is as it was, unless the update had begun: then it is paused.
    """
    check_values(stacks, stack_name, changed)
    parameters = merge_parameters(stacks, stack_name, changed)
    mapping = target["mapping_id"]
    polls = functions.get_event_source_mapping(UUID=mapping).get("State") != "Disabled"
    if polls:
        pause(functions, mapping, target["function_name"], patience)
    patience.say(f"updating the stack {stack_name}")
    outcome = update(stacks, stack_name, parameters, patience)
    if outcome.startswith("UPDATE_") and outcome not in CONSISTENT:
        raise BudgetError(f"the stack is {outcome}; the mapping {mapping} stays paused")
    patience.say("resuming the mapping" if polls else "the mapping stays paused")
    switch_mapping(functions, mapping, polls, patience.clock, patience.sleep)
    if outcome == "UPDATE_ROLLBACK_COMPLETE":
        raise BudgetError("CloudFormation undid the update; the stack's events say why")
    if outcome not in CONSISTENT:
        raise BudgetError(f"CloudFormation refused the update: {outcome}")


def pause(functions: "LambdaClient", mapping: str, function_name: str, patience: Patience) -> None:
    """Pause the mapping, and wait until no invocation runs; resumed when that is interrupted."""
    patience.say(f"pausing the mapping {mapping}")
    try:
        switch_mapping(functions, mapping, False, patience.clock, patience.sleep)
        timeout = functions.get_function_configuration(FunctionName=function_name)["Timeout"]
        patience.say(f"waiting {timeout} s for invocations that are running")
        patience.sleep(timeout)
    except KeyboardInterrupt:
        patience.say("resuming the mapping: nothing was changed")
        switch_mapping(functions, mapping, True, patience.clock, patience.sleep)
        raise


def check_values(
    stacks: "CloudFormationClient", stack_name: str, changed: Mapping[str, str]
) -> None:
    """Check the values by the stack's own template, before anything is paused.

    Raises:
        BudgetError: a parameter does not take its value.
    """
    described = stacks.get_template_summary(StackName=stack_name).get("Parameters", [])
    for one in described:
        name = one["ParameterKey"]
        allowed = one.get("ParameterConstraints", {}).get("AllowedValues", [])
        if name in changed and allowed and changed[name] not in allowed:
            raise BudgetError(f"{name} can be {', '.join(allowed)}, and not {changed[name]}")


def merge_parameters(
    stacks: "CloudFormationClient", stack_name: str, changed: Mapping[str, str]
) -> list[Any]:
    """All parameters of the stack: those changed with their value, the others as they are."""
    described = stacks.describe_stacks(StackName=stack_name)["Stacks"][0]
    names = [one["ParameterKey"] for one in described.get("Parameters", [])]
    if unknown := sorted(set(changed) - set(names)):
        raise BudgetError(f"the stack has no parameter {', '.join(unknown)}: deploy it first")
    return [
        {"ParameterKey": name, "ParameterValue": changed[name]}
        if name in changed
        else {"ParameterKey": name, "UsePreviousValue": True}
        for name in names
    ]


def update(
    stacks: "CloudFormationClient", stack_name: str, parameters: list[Any], patience: Patience
) -> str:
    """Update the stack with the template that it has, and wait for the end.

    Returns the stack's status, "unchanged", or CloudFormation's words when it refused.
    """
    try:
        stacks.update_stack(
            StackName=stack_name,
            UsePreviousTemplate=True,
            Parameters=parameters,
            Capabilities=CAPABILITIES,  # type: ignore[arg-type]
        )
    except stacks.exceptions.ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        return str(error)
    until = patience.clock() + UPDATE_SECONDS
    while True:
        status = stacks.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]
        if not status.endswith("_IN_PROGRESS") or patience.clock() >= until:
            return str(status)
        patience.sleep(LOOK_SECONDS)
