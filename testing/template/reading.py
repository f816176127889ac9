"""Small readers of a translated template."""

from collections.abc import Iterator
from typing import Any

from template.translate import Template

Resource = dict[str, Any]


def of_type(template: Template, kind: str) -> dict[str, Resource]:
    """The resources of a type by logical id; at least one, or a test would prove nothing."""
    found = {name: one for name, one in template["Resources"].items() if one["Type"] == kind}
    assert found, f"no {kind}"
    return found


def functions(written: Template) -> dict[str, tuple[str, str]]:
    """Logical id -> folder and handler of each function as written, of SAM or of Lambda."""
    return {
        name: (one["Properties"].get("CodeUri") or one["Properties"]["Code"], handler)
        for name, one in written["Resources"].items()
        if (handler := one.get("Properties", {}).get("Handler"))
    }


def properties(template: Template, name: str) -> dict[str, Any]:
    """The properties of one resource."""
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def allowed(template: Template, parameter: str) -> list[Any]:
    """The allowed values of a parameter."""
    values: list[Any] = template["Parameters"][parameter]["AllowedValues"]
    return values


def as_list(value: Any) -> list[Any]:
    """IAM takes one for a list of one."""
    return value if isinstance(value, list) else [value]


def statements(role: Resource) -> Iterator[dict[str, Any]]:
    """Each statement of a role's own policies, those behind a condition included."""
    for policy in role["Properties"]["Policies"]:
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            if "Fn::If" in statement:
                yield from (one for one in statement["Fn::If"][1:] if "Effect" in one)
            else:
                yield statement


def strings(value: Any) -> Iterator[str]:
    """Every string in a value, however deep; keys are left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
