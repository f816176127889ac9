"""A translated template under given parameters: its resources and their properties."""

from collections.abc import Iterator
from typing import Any

from template.reading import as_list, of_type
from template.translate import Template

NO_VALUE = {"Ref": "AWS::NoValue"}


class Deployment:
    """The translated template under these parameters; the others have their defaults."""

    def __init__(self, template: Template, **parameters: str) -> None:
        default = {
            name: str(one.get("Default", "")) for name, one in template["Parameters"].items()
        }
        assert set(parameters) <= set(default), set(parameters) - set(default)
        self.template = template
        self.parameters = default | parameters

    def holds(self, condition: Any) -> bool:
        """Whether a condition, or the assertion of a rule, is true."""
        match condition:
            case str(name):
                return self.holds(self.template["Conditions"][name])
            case {"Condition": name}:
                return self.holds(name)
            case {"Fn::Equals": [one, other]}:
                return self.value(one) == self.value(other)
            case {"Fn::Not": [one]}:
                return not self.holds(one)
            case {"Fn::And": every}:
                return all(map(self.holds, every))
            case {"Fn::Or": some}:
                return any(map(self.holds, some))
            case {"Fn::Contains": [values, one]}:
                return self.value(one) in map(str, values)
        raise AssertionError(condition)

    def value(self, operand: Any) -> str:
        """A literal, or a parameter's value, as text: as CloudFormation compares them."""
        match operand:
            case {"Ref": name}:
                return self.parameters[name]
        assert not isinstance(operand, dict), operand
        return str(operand)

    def decide(self, value: Any) -> Any:
        """A value with each Fn::If in it decided, and what has no value left out."""
        match value:
            case {"Fn::If": [condition, then, otherwise]}:
                return self.decide(then if self.holds(condition) else otherwise)
            case dict():
                decided = {key: self.decide(one) for key, one in value.items()}
                return {key: one for key, one in decided.items() if one != NO_VALUE}
            case list():
                return [one for one in map(self.decide, value) if one != NO_VALUE]
        return value

    def refused(self) -> list[str]:
        """What the rules say against the parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if "RuleCondition" not in rule or self.holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.holds(assertion["Assert"])
        ]

    def resources(self) -> set[str]:
        """The logical ids of the resources that are deployed."""
        return {
            name
            for name, one in self.template["Resources"].items()
            if "Condition" not in one or self.holds(one["Condition"])
        }

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource that is deployed."""
        assert name in self.resources(), name
        decided: dict[str, Any] = self.decide(self.template["Resources"][name]["Properties"])
        return decided

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id -> properties of the resources of a type that are deployed."""
        names = sorted(self.resources() & set(of_type(self.template, kind)))
        return {name: self.properties(name) for name in names}

    def rights(self) -> Iterator[tuple[str, list[str], Any]]:
        """(role, actions, resource) of each statement of the roles there are that allows."""
        for role, statement in self.statements("Allow"):
            for resource in as_list(statement["Resource"]):
                yield role, as_list(statement["Action"]), resource

    def statements(self, effect: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each role with each of its statements of this effect."""
        for role, properties in self.of_type("AWS::IAM::Role").items():
            for policy in properties["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    if statement["Effect"] == effect:
                        yield role, statement

    def may(self, resource: dict[str, str]) -> dict[str, set[str]]:
        """Role -> what it may do with this secret, queue or KMS key."""
        found: dict[str, set[str]] = {}
        for role, actions, named in self.rights():
            if named == resource:
                found.setdefault(role, set()).update(actions)
        return found
