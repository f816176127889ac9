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


def test_widgets_fit_the_grid_and_do_not_overlap(translated: Template) -> None:
    found = widgets(translated)
    assert all(widget["x"] + widget["width"] <= COLUMNS for widget in found)
    assert all(not cells(one) & cells(other) for one, other in combinations(found, 2))


def test_each_widget_has_a_title_and_a_region_and_each_graph_a_unit(translated: Template) -> None:
    titles = [widget["properties"]["title"] for widget in widgets(translated)]
    assert len(set(titles)) == len(titles)
    for widget in widgets(translated):
        if widget["type"] == "metric":
            assert widget["properties"]["region"] == "${AWS::Region}"
            assert widget["properties"]["yAxis"]["left"]["label"]


def test_it_answers_what_an_operator_asks(translated: Template) -> None:
    titles = {widget["properties"]["title"] for widget in widgets(translated)}
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
    }


@pytest.mark.parametrize("conditions", [(), ("HasApi",), ("HasSigningKey",), CONDITIONS])
def test_it_names_what_is_there_and_the_state_of_each_alarm(
    translated: Template, conditions: tuple[str, ...]
) -> None:
    found = widgets(translated, conditions)
    named = {name.partition(".")[0] for one in found for name in references(one)}
    there = {
        name
        for name, one in translated["Resources"].items()
        if one.get("Condition") in (None, *conditions)
    }
    assert named - there == {"AWS::Region", "AWS::StackName", "CallsPerSecond"}
    (states,) = (one for one in found if one["type"] == "alarm")
    expected = {f"${{{name}.Arn}}" for name in set(alarms(translated)) & there}
    assert set(states["properties"]["alarms"]) == expected


def test_the_budget_is_the_workers_own(translated: Template) -> None:
    ((_, dashboard),) = of_type(translated, "AWS::CloudWatch::Dashboard").items()
    _, values = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    assert values["CallsPerSecond"] == {
        "Fn::FindInMap": ["CallsPerSecond", {"Ref": "ApiCallsPerSecond"}, "Worker"]
    }


def test_it_has_no_name_of_its_own(translated: Template) -> None:
    """Names of dashboards hold for all regions of an account."""
    ((_, dashboard),) = of_type(translated, "AWS::CloudWatch::Dashboard").items()
    assert set(dashboard["Properties"]) == {"DashboardBody"}
