"""docs/aws.md lists each resource there is, and names only what exists."""

import re
from typing import Any

import pytest

from template.translate import ROOT, Template

DOCUMENT = (ROOT / "docs/aws.md").read_text(encoding="utf-8")


def resource_rows(template: Template) -> list[str]:
    """A row for each resource as written: logical id, type, condition."""
    return [
        f"| `{name}` | `{one['Type']}` | "
        + (f"`{one['Condition']}` |" if "Condition" in one else "|")
        for name, one in template["Resources"].items()
    ]


def rows(heading: str) -> list[str]:
    section = DOCUMENT.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `.+\|$", section, re.MULTILINE)


def test_every_resource_is_listed(
    written: Template, written_jobs: Template, written_monitoring: Template
) -> None:
    assert rows("What runs (`template.yaml`)") == resource_rows(written)
    assert rows("What runs jobs (`jobs/template.yaml`)") == resource_rows(written_jobs)
    assert rows("What watches (`monitoring/template.yaml`)") == resource_rows(written_monitoring)


def test_each_parameter_that_it_names_exists(written: Template) -> None:
    named = set(re.findall(r"^([A-Z]\w+)=", DOCUMENT, re.MULTILINE)) | set(
        re.findall(r"`([A-Z]\w+(?:Arn|Arns|Ids|Principals|PerSecond|Concurrency))`", DOCUMENT)
    )
    assert {"KmsKeyArn", "SenderPrincipals", "SubnetIds", "AppCallsPerSecond"} <= named
    assert named - set(written["Outputs"]) <= set(written["Parameters"])


@pytest.mark.parametrize(
    "service",
    ["logs", "cloudwatch.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com", "dynamodb"],
)
def test_the_key_policy_names_each_service_that_uses_the_key(service: str) -> None:
    policy: Any = DOCUMENT.partition("## A key of your own")[2].partition("\n## ")[0]
    assert service in policy
