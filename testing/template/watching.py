"""What the alarms and the dashboard of the translated monitoring/template.yaml watch."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from template.reading import Resource, of_type
from template.translate import Template
from timpush.metrics import NAMESPACE

WORKER_SERVICE = "${ServiceName}"
ENDPOINT_SERVICE = "${ServiceName}-endpoint"
CONDITIONS = ("HasApi", "HasSigningKey", "HasRotationSchedule", "HasBudgetAlarm")


class Watched(NamedTuple):
    """A metric; `where` is the id of the alarm or the title of the widget that names it."""

    where: str
    namespace: str
    name: str
    dimensions: dict[str, str]


def alarms(template: Template) -> dict[str, Resource]:
    """The alarms by logical id."""
    return of_type(template, "AWS::CloudWatch::Alarm")


def metrics(alarm: Resource) -> list[dict[str, Any]]:
    """The metrics that an alarm looks at: its own, or those of its metric math."""
    properties = alarm["Properties"]
    if "Metrics" not in properties:
        return [properties]
    return [one["MetricStat"]["Metric"] for one in properties["Metrics"] if "MetricStat" in one]


def widgets(template: Template, conditions: Collection[str] = CONDITIONS) -> list[dict[str, Any]]:
    """The widgets of the dashboard of a stack in which these conditions hold, as JSON."""
    ((_, dashboard),) = of_type(template, "AWS::CloudWatch::Dashboard").items()
    text, values = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in values.items():
        if "Fn::If" in value:
            condition, more, nothing = value["Fn::If"]
            text = text.replace(
                f"${{{name}}}", more["Fn::Sub"][0] if condition in conditions else nothing
            )
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    assert found
    return found


def watched(template: Template) -> Iterator[Watched]:
    """Each metric that an alarm or a widget names."""
    for where, alarm in alarms(template).items():
        for one in metrics(alarm):
            dimensions = {row["Name"]: _text(row["Value"]) for row in one["Dimensions"]}
            yield Watched(where, one["Namespace"], one["MetricName"], dimensions)
    for widget in widgets(template):
        for row in widget["properties"].get("metrics", []):
            *names, last = row
            if isinstance(last, str):
                names.append(last)
            if names:  # a row without names is an expression
                title = widget["properties"]["title"]
                dimensions = dict(zip(names[2::2], names[3::2], strict=True))
                yield Watched(title, names[0], names[1], dimensions)


def own(template: Template) -> dict[str, set[str]]:
    """The names of the application's own metrics that are watched, by service."""
    found: dict[str, set[str]] = {}
    for one in watched(template):
        if one.namespace == NAMESPACE:
            assert list(one.dimensions) == ["service"], one
            found.setdefault(one.dimensions["service"], set()).add(one.name)
    return found


def references(widget: dict[str, Any]) -> set[str]:
    """The names within `${...}` that a widget holds."""
    return set(re.findall(r"\$\{([^}]+)\}", json.dumps(widget)))


def _text(value: Any) -> str:
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": text}:
            return str(text)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
    return str(value)
