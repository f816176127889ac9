"""The IAM policies in docs/policies, with their placeholders filled in, and what they allow."""

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from template.reading import as_list
from template.translate import ROOT

FOLDER = ROOT / "docs/policies"
ACCOUNT = "123456789012"
PLACEHOLDERS = {
    "REGION": "us-east-1",
    "ACCOUNT": ACCOUNT,
    "STACK": "shop",
    "SECRET_ARN": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:UserSigSecret-1a2b-AbCdEf",
    "KEY_ARN": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000",
}
"""What a reader puts in their place, here for an example."""

Document = dict[str, Any]


class Allowance(NamedTuple):
    """One action on one resource, as the statement `sid` allows it; either may hold wildcards."""

    sid: str
    action: str
    resource: str

    def covers(self, action: str, resource: str) -> bool:
        """Whether this action is allowed on this resource, conditions left aside."""
        return fnmatchcase(action, self.action) and fnmatchcase(resource, self.resource)


def names() -> list[str]:
    """The policies there are."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def text(name: str) -> str:
    """A policy as it stands in docs/policies."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def read_policy(name: str, values: Mapping[str, str] = PLACEHOLDERS) -> Document:
    """A policy with its placeholders filled in; those not in `values` as in the example."""
    known = PLACEHOLDERS | dict(values)
    filled = re.sub(rf"\b({'|'.join(known)})\b", lambda found: known[found[0]], text(name))
    document: Document = json.loads(filled)
    return document


def allowances(policy: Document, sids: Iterable[str] | None = None) -> list[Allowance]:
    """What these statements allow; without `sids`, all of them."""
    chosen = None if sids is None else set(sids)
    return [
        Allowance(statement["Sid"], action, resource)
        for statement in policy["Statement"]
        if chosen is None or statement["Sid"] in chosen
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]
