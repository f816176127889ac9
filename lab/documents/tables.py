"""The tables: parameters and rights from the templates, metrics from timpush/metrics.py."""

from collections.abc import Iterator, Sequence
from typing import Any

from template.reading import as_list
from template.translate import TEMPLATES, Template, load, translate
from timpush import metrics


def tables() -> dict[str, str]:
    """Name -> table in Markdown, of everything that documents may hold."""
    return {
        "parameters": parameters(load()),
        "metrics": metric_table(),
        "rights": rights([translate(load(one), one.parent) for one in TEMPLATES.values()]),
    }


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("  |", " |") for cells in lines)


def parameters(written: Template) -> str:
    """Each parameter with its default and description, in the order of the console's groups."""
    groups = written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    known = [(name, written["Parameters"][name]) for one in groups for name in one["Parameters"]]
    rows = (
        (f"`{name}`", default(one), " ".join(one["Description"].split())) for name, one in known
    )
    return table(("Parameter", "Default", "Meaning"), rows)


def default(parameter: dict[str, Any]) -> str:
    """The default of a parameter as a cell."""
    value = parameter.get("Default")
    return "none" if value is None else f"`{value}`" if value != "" else "empty"


def metric_table() -> str:
    """Each metric, who emits it, its unit and its meaning."""
    emitters = (metrics.WORKER, metrics.ENDPOINT, metrics.JOBS)
    units = {name: one.unit for each in emitters for name, one in each.items()}
    rows = (
        (f"`{name}`", *("x" if name in one else "" for one in emitters), unit, meaning(name))
        for name, unit in units.items()
    )
    return table(("Metric", "Worker", "Endpoint", "Jobs", "Unit", "Meaning"), rows)


def meaning(name: str) -> str:
    """What a metric says; where the endpoint's says something else, both."""
    emitters = (metrics.WORKER, metrics.ENDPOINT, metrics.JOBS)
    known = [one[name].meaning for one in emitters if name in one]
    return "; endpoint: ".join(dict.fromkeys(known))


def rights(templates: Sequence[Template]) -> str:
    """Each statement of each role that a function or another resource takes on."""
    rows = (
        right(owner, statement)
        for translated in templates
        for owner, role in owners(translated)
        for policy in policies(translated, role)
        for statement in as_list(policy["PolicyDocument"]["Statement"])
    )
    return table(("Function", "Statement", "Actions", "Resource", "Only with"), rows)


def policies(translated: Template, role: str) -> Iterator[dict[str, Any]]:
    """The policies of a role: those in it, and those that name it."""
    yield from translated["Resources"][role]["Properties"]["Policies"]
    for one in translated["Resources"].values():
        if one["Type"] == "AWS::IAM::Policy" and {"Ref": role} in one["Properties"]["Roles"]:
            yield one["Properties"]


def owners(translated: Template) -> Iterator[tuple[str, str]]:
    """(resource, its role) for each resource that takes on a role of the template."""
    for name, resource in translated["Resources"].items():
        for key in ("Role", "RoleArn"):
            match resource.get("Properties", {}).get(key):
                case {"Fn::GetAtt": [role, "Arn"]}:
                    yield name, role


def right(owner: str, statement: dict[str, Any]) -> Sequence[str]:
    """A statement as the cells of a row."""
    needs: list[str] = []
    while "Fn::If" in statement:
        condition, statement, nothing = statement["Fn::If"]
        assert nothing == {"Ref": "AWS::NoValue"}
        needs.append(condition)
    denied = {"Allow": "", "Deny": "denied: "}[statement["Effect"]]
    needs += [key for test in statement.get("Condition", {}).values() for key in test]
    resources = [name for one in as_list(statement["Resource"]) for name in named(one)]
    return (
        coded([owner]),
        coded([statement["Sid"]]),
        denied + coded(as_list(statement["Action"])),
        coded(resources, " or "),
        coded(needs),
    )


def named(resource: Any) -> list[str]:
    """What a resource of a statement is called in the template."""
    match resource:
        case str(text) | {"Fn::Sub": str(text)}:
            return [text]
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            return [name]
        case {"Fn::If": [_, one, other]}:
            return named(one) + named(other)
    raise ValueError(f"a resource that the table cannot name: {resource}")


def coded(texts: Sequence[str], between: str = ", ") -> str:
    """Texts as code of Markdown, in one cell."""
    return between.join(f"`{text}`" for text in texts)
