"""An upgrade from 0.1.0 recreates no queue, secret, API or log group."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.upgrade import RELEASE
from template.translate import ROOT, Template, load, translate

RECORD = Path(__file__).parent / "data/resources-0.1.0.json"
"""The same for a clone without that commit."""
CREATE_ONLY = {
    "AWS::ApiGateway::RestApi": [],
    "AWS::ApiGateway::Stage": ["RestApiId", "StageName"],
    "AWS::IAM::Role": ["Path", "RoleName"],
    "AWS::Lambda::EventSourceMapping": ["EventSourceArn"],
    "AWS::Lambda::Function": ["FunctionName", "PackageType"],
    "AWS::Logs::LogGroup": ["LogGroupName", "LogGroupClass"],
    "AWS::SQS::Queue": ["QueueName", "FifoQueue"],
    "AWS::SQS::QueuePolicy": [],
    "AWS::SecretsManager::RotationSchedule": ["SecretId"],
    "AWS::SecretsManager::Secret": ["Name"],
}
"""Type -> the properties whose change makes CloudFormation replace it (documentation of each
type, 2026-11). What is not listed holds no state: deployments, layers, permissions, alarms."""
STATEFUL = {"AWS::ApiGateway::RestApi", "AWS::Logs::LogGroup", "AWS::SQS::Queue"}

Kept = dict[str, dict[str, Any]]


def kept(template: Template) -> Kept:
    """Logical id -> type, condition and create-only properties of what an upgrade must keep."""
    return {
        name: {
            "Type": one["Type"],
            "Condition": one.get("Condition"),
            "Properties": {
                key: one["Properties"][key]
                for key in CREATE_ONLY[one["Type"]]
                if key in one["Properties"]
            },
        }
        for name, one in template["Resources"].items()
        if one["Type"] in CREATE_ONLY
    }


def from_history(folder: Path) -> Kept | None:
    """What 0.1.0 had, by its commit; None in a clone without it."""
    shown = subprocess.run(
        ["git", "show", f"{RELEASE}:template.yaml"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if shown.returncode:
        return None
    path = folder / "template.yaml"
    path.write_bytes(shown.stdout)
    return kept(translate(load(path)))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    recorded: Kept = json.loads(RECORD.read_text(encoding="utf-8"))
    found = from_history(tmp_path_factory.mktemp("release"))
    if found is None:
        print(f"0.1.0 from {RECORD.name}: this clone has no commit {RELEASE[:7]}")
        return recorded
    print(f"0.1.0 from commit {RELEASE[:7]}")
    assert recorded == found
    return found


def test_what_holds_state_keeps_its_logical_id_and_is_not_replaced(
    released: Kept, translated: Template
) -> None:
    today = kept(translated)
    assert {one["Type"] for one in released.values()} >= STATEFUL
    assert {name: today.get(name) for name in released} == released
