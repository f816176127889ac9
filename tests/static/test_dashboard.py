"""The dashboard: valid, nothing overlaps, and it works in a stack without the endpoint."""

from itertools import combinations
from typing import Any

import pytest

from template.reading import of_type
from template.translate import Template
from template.watching import CONDITIONS, alarms, references, widgets

COLUMNS = 24


def cells(widget: dict[str, Any]) -> set[tuple[int, int]]:
    """The cells of the grid that a widget takes."""
    x, y = widget["x"], widget["y"]
    rows, columns = range(y, y + widget["height"]), range(x, x + widget["width"])
    return {(column, row) for row in rows for column in columns}


def test_widgets_fit_the_grid_and_do_not_overlap(monitoring: Template) -> None:
    found = widgets(monitoring)
    assert all(widget["x"] + widget["width"] <= COLUMNS for widget in found)
    assert all(not cells(one) & cells(other) for one, other in combinations(found, 2))


def test_each_widget_has_a_title_and_a_region_and_each_graph_a_unit(monitoring: Template) -> None:
    titles = [widget["properties"]["title"] for widget in widgets(monitoring)]
    assert len(set(titles)) == len(titles)
    for widget in widgets(monitoring):
        if widget["type"] == "metric":
            assert widget["properties"]["region"] == "${AWS::Region}"
            assert widget["properties"]["yAxis"]["left"]["label"]


def test_it_answers_what_an_operator_asks(monitoring: Template) -> None:
    titles = {widget["properties"]["title"] for widget in widgets(monitoring)}
    assert titles >= {
        "Backlog",
        "Age of the oldest message",
        "Users a second",
        "Budget used by the worker",
        "Handed back, by reason",
        "Parked, by class",
        "Latency of calls",
        "Dead-letter queue",
        "Endpoint: requests",
        "Jobs: executions",
        "Jobs: how they ended",
        "Jobs: longest time without progress",
    }


@pytest.mark.parametrize(
    "conditions", [(), ("HasApi",), ("HasSigningKey",), ("HasBudgetAlarm",), CONDITIONS]
)
def test_it_names_what_is_there_and_the_state_of_each_alarm(
    monitoring: Template, conditions: tuple[str, ...]
) -> None:
    found = widgets(monitoring, conditions)
    named = {name.partition(".")[0] for one in found for name in references(one)}
    there = {
        name
        for name, one in monitoring["Resources"].items()
        if one.get("Condition") in (None, *conditions)
    }
    assert named - there - set(monitoring["Parameters"]) == {"AWS::Region", "Alarms"}
    (states,) = (one for one in found if one["type"] == "alarm")
    expected = {f"${{Alarms}}:${{{name}}}" for name in set(alarms(monitoring)) & there}
    assert set(states["properties"]["alarms"]) == expected


def test_the_budget_is_the_alarms(monitoring: Template) -> None:
    (widget,) = (
        one
        for one in widgets(monitoring)
        if one["properties"]["title"] == "Budget used by the worker"
    )
    expression, _ = widget["properties"]["metrics"]
    (alarm,) = (
        one
        for one in alarms(monitoring)["BudgetSaturatedAlarm"]["Properties"]["Metrics"]
        if "Expression" in one
    )
    assert expression[0]["expression"] == alarm["Expression"]["Fn::Sub"]


def test_it_has_no_name_of_its_own(monitoring: Template) -> None:
    """Names of dashboards hold for all regions of an account."""
    ((_, dashboard),) = of_type(monitoring, "AWS::CloudWatch::Dashboard").items()
    assert set(dashboard["Properties"]) == {"DashboardBody"}
