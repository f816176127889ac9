"""What docs/security.md names exists."""

import re

from template.translate import ROOT, Template

DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")


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
    of_jobs = {"JobsApiArn", "RequestedBy", "Sha256"}
    assert names - of_messages - of_queues - of_jobs <= set(translated["Parameters"])
