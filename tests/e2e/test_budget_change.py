"""`budget` on the deployed stack: paused, updated by CloudFormation, resumed."""

import time

import pytest

from local.run import Local
from local.stack import STACK_NAME
from timpush_ops.budget import Patience, change_budget

pytestmark = pytest.mark.slow  # deploys a stack of its own


def change(local: Local, **changed: str) -> None:
    target = {
        "mapping_id": local.outputs["WorkerMappingId"],
        "function_name": local.outputs["WorkerFunctionName"],
    }
    # Nothing runs here: there is no invocation to wait two minutes for.
    patience = Patience(print, sleep=lambda seconds: time.sleep(min(seconds, 1)))
    clients = local.client("cloudformation"), local.client("lambda")
    change_budget(*clients, STACK_NAME, target, changed, patience)


def test_the_budget_of_a_running_stack_is_lowered_and_restored(local: Local) -> None:
    functions = local.client("lambda")
    mapping_id, name = local.outputs["WorkerMappingId"], local.outputs["WorkerFunctionName"]
    # When the budget is lowered
    change(local, AppCallsPerSecond="60", WorkerConcurrency="2")
    # Then function and mapping have the new values, and messages are taken again
    configuration = functions.get_function_configuration(FunctionName=name)
    variables = configuration["Environment"]["Variables"]
    assert (variables["APP_CALLS_PER_SECOND"], variables["WORKER_CONCURRENCY"]) == ("60", "2")
    mapping = functions.get_event_source_mapping(UUID=mapping_id)
    assert (mapping["State"], mapping["ScalingConfig"]["MaximumConcurrency"]) == ("Enabled", 2)
    # And the old values can be restored
    change(local, AppCallsPerSecond="100", WorkerConcurrency="3")
    assert (
        functions.get_event_source_mapping(UUID=mapping_id)["ScalingConfig"]["MaximumConcurrency"]
        == 3
    )
