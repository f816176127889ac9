"""docs/security.md lists each right there is, and no other."""

import re
from collections.abc import Iterator
from typing import Any

from template.reading import as_list, of_type, properties
from template.translate import ROOT, Template

DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_the_table_of_rights_is_the_templates(translated: Template) -> None:
    table = DOCUMENT.partition("## Rights")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `.*\|$", table, re.MULTILINE)
    assert rows == list(rights(translated))


def test_each_test_that_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", DOCUMENT)
    assert len(named) > 2
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_each_parameter_that_it_names_exists(translated: Template) -> None:
    cells = " ".join(line for line in DOCUMENT.splitlines() if line.startswith("| "))
    names = set(re.findall(r"`([A-Z]\w+)`", cells.partition("Only with")[0]))
    of_messages = {"JobId", "RequestId"}
    of_queues = {"SqsManagedSseEnabled"}
    assert "EndpointUrl" in names
    assert names - of_messages - of_queues <= set(translated["Parameters"])


def rights(translated: Template) -> Iterator[str]:
    """A row of the table for each statement of the role of each function."""
    for function in of_type(translated, "AWS::Lambda::Function"):
        role = properties(translated, function)["Role"]["Fn::GetAtt"][0]
        for policy in properties(translated, role)["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield row(function, statement)


def row(function: str, statement: dict[str, Any]) -> str:
    needs: list[str] = []
    if "Fn::If" in statement:
        condition, statement, nothing = statement["Fn::If"]
        assert nothing == {"Ref": "AWS::NoValue"}
        needs.append(condition)
    needs += [key for test in statement.get("Condition", {}).values() for key in test]
    assert statement["Effect"] == "Allow"
    resources = [name for one in as_list(statement["Resource"]) for name in names(one)]
    actions = as_list(statement["Action"])
    cells = [
        coded([function]),
        coded([statement["Sid"]]),
        coded(actions),
        coded(resources, " or "),
        coded(needs),
    ]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def names(resource: Any) -> list[str]:
    """What a resource of a statement is called in the template."""
    match resource:
        case str(text):
            return [text]
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            return [name]
        case {"Fn::If": [_, one, other]}:
            return names(one) + names(other)
    raise AssertionError(resource)


def coded(texts: list[str], between: str = ", ") -> str:
    return between.join(f"`{text}`" for text in texts)
