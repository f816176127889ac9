"""Changing the budget: paused and at rest before the update, resumed after it, or left paused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from timpush_ops.budget import BudgetError, Patience, change_budget

TARGET = {"mapping_id": "id", "function_name": "worker"}
TIMEOUT = 120


class Cloud:
    """Lambda and CloudFormation as far as the command asks them; remembers what was done."""

    class exceptions:  # noqa: N801 - as botocore names it
        ClientError = ClientError

    def __init__(self, outcome: str = "UPDATE_COMPLETE", state: str = "Enabled") -> None:
        self.outcome, self.state, self.now = outcome, state, 0.0
        self.done: list[tuple[str, float]] = []
        self.sent: list[Any] = []

    def get_event_source_mapping(self, **_: Any) -> Any:
        return {"State": self.state}

    def update_event_source_mapping(self, UUID: str, Enabled: bool) -> Any:  # noqa: N803
        assert UUID == "id"
        self.state = "Enabled" if Enabled else "Disabled"
        self.done.append((self.state, self.now))
        return {"State": self.state}

    def get_function_configuration(self, **_: Any) -> Any:
        return {"Timeout": TIMEOUT}

    def describe_stacks(self, **_: Any) -> Any:
        keys = ("AppCallsPerSecond", "WorkerConcurrency", "LogLevel")
        parameters = [{"ParameterKey": key, "ParameterValue": "1"} for key in keys]
        busy = self.sent and self.now < self.done[-1][1] + 60
        status = "UPDATE_IN_PROGRESS" if busy else self.outcome
        return {"Stacks": [{"Parameters": parameters, "StackStatus": status}]}

    def get_template_summary(self, **_: Any) -> Any:
        constraints = {"AllowedValues": ["60", "100"]}
        one = {"ParameterKey": "AppCallsPerSecond", "ParameterConstraints": constraints}
        return {"Parameters": [one, {"ParameterKey": "WorkerConcurrency"}]}

    def update_stack(self, **sent: Any) -> None:
        if self.outcome == "refused":
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": "no"}}, "UpdateStack"
            )
        if self.outcome == "unchanged":
            message = "No updates are to be performed."
            raise ClientError({"Error": {"Code": "X", "Message": message}}, "UpdateStack")
        self.sent.append(sent)
        self.done.append(("updated", self.now))

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def change(cloud: Any, **changed: str) -> None:
    patience = Patience(lambda _: None, lambda: cloud.now, cloud.sleep)
    change_budget(cloud, cloud, "stack", TARGET, changed or {"WorkerConcurrency": "2"}, patience)


def test_nothing_runs_between_old_and_new_values() -> None:
    cloud = Cloud()
    change(cloud)
    (paused, updated, resumed) = cloud.done
    assert [paused[0], updated[0], resumed[0]] == ["Disabled", "updated", "Enabled"]
    assert updated[1] - paused[1] >= TIMEOUT
    assert resumed[1] - updated[1] >= 60


def test_the_other_parameters_and_the_template_stay_as_they_are() -> None:
    cloud = Cloud()
    change(cloud, WorkerConcurrency="2", AppCallsPerSecond="60")
    (sent,) = cloud.sent
    assert sent["UsePreviousTemplate"] is True
    assert sent["Parameters"] == [
        {"ParameterKey": "AppCallsPerSecond", "ParameterValue": "60"},
        {"ParameterKey": "WorkerConcurrency", "ParameterValue": "2"},
        {"ParameterKey": "LogLevel", "UsePreviousValue": True},
    ]


def test_a_mapping_that_was_paused_stays_paused() -> None:
    cloud = Cloud(state="Disabled")
    change(cloud)
    names = [name for name, _ in cloud.done]
    assert (cloud.state, names) == ("Disabled", ["updated", "Disabled"])


def test_an_update_that_changes_nothing_resumes() -> None:
    cloud = Cloud("unchanged")
    change(cloud)
    assert cloud.state == "Enabled"


def test_an_update_that_is_undone_resumes_with_the_old_values_and_is_an_error() -> None:
    cloud = Cloud("UPDATE_ROLLBACK_COMPLETE")
    with pytest.raises(BudgetError, match="undid the update"):
        change(cloud)
    assert cloud.state == "Enabled"


def test_an_update_that_is_refused_resumes_and_says_why() -> None:
    cloud = Cloud("refused")
    with pytest.raises(BudgetError, match=r"refused the update: .*no"):
        change(cloud)
    assert cloud.state == "Enabled"


@pytest.mark.parametrize("outcome", ["UPDATE_ROLLBACK_FAILED", "UPDATE_IN_PROGRESS"])
def test_an_update_of_unknown_end_leaves_the_mapping_paused(outcome: str) -> None:
    cloud = Cloud(outcome)
    with pytest.raises(BudgetError, match="id stays paused"):
        change(cloud)
    assert cloud.state == "Disabled"


def test_a_parameter_that_the_stack_does_not_have_is_named_before_anything_is_done() -> None:
    cloud = Cloud()
    with pytest.raises(BudgetError, match="no parameter ApiCallsPerSecond"):
        change(cloud, ApiCallsPerSecond="2")
    assert cloud.done == []
