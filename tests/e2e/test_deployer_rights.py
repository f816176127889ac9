"""SAM makes the calls that docs/policies/deployer.json allows, and `sam deploy` all of its own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.emulator import REGION, ROOT, emulator
from local.stack import STACK_NAME, UNKNOWN_TO_EMULATOR, deploy_arguments, sam_environment
from support.rights import ACTIONS, Right
from template.policies import Allowance, allowances, read_policy

pytestmark = pytest.mark.slow  # deploys a stack of its own, twice

PYTHON = ROOT / ".tools/sam/bin/python"
RECORD_SAM = ROOT / "testing/support/record_sam.py"
ACCOUNT = "000000000000"
SECONDS = 120.0
EACH = {"DeployStack", "FindSamBucket", "UploadArtifacts"}
FIRST = EACH | {"CreateSamBucketStack"}
DELETION = {"DeleteStack", "ReadDeletedStacks", "DeleteArtifacts"}
BY_CLOUDFORMATION = {"UseSamTransform", "CreateSamBucket"}
"""What CloudFormation asks for, or does, with the deployer's rights."""
NAMED = ("--stack-name", STACK_NAME, "--region", REGION)
FIRST_ONLY = {"s3:PutObject"}
LATER_ONLY = {"cloudformation:GetTemplateSummary"}


def record(endpoint_url: str, path: Path, *arguments: str, code: int = 0) -> set[Right]:
    """Run SAM, which ends with this code; the rights that its calls need."""
    path.unlink(missing_ok=True)
    done = subprocess.run(
        [PYTHON, RECORD_SAM, path, *arguments],
        env=sam_environment(endpoint_url),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    lines = path.read_text(encoding="utf-8").splitlines()
    return {to_right(json.loads(line)) for line in lines}


def to_right(call: dict[str, Any]) -> Right:
    """What a recorded call needs."""
    operation = f"{call['service']}:{call['operation']}"
    action = ACTIONS.get(operation, operation)
    if call["service"] == "s3":
        return Right(action, f"arn:aws:s3:::{urlsplit(call['url']).path.removeprefix('/')}")
    assert call["service"] == "cloudformation", call
    name = call["body"]["StackName"]  # an ARN stands for it, too
    stacks = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack"
    return Right(action, name if name.startswith("arn:") else f"{stacks}/{name}/id")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[Right]]]:
    """The rights that the first deployment, an update and a deletion need."""
    path = tmp_path_factory.mktemp("sam") / "calls"
    with emulator() as (url, _):
        yield {
            "first": record(url, path, *deploy_arguments(UNKNOWN_TO_EMULATOR)),
            "later": record(
                url, path, *deploy_arguments(UNKNOWN_TO_EMULATOR | {"WorkerConcurrency": "2"})
            ),
            # The emulator's URL of a nested template is no address of S3, so SAM gives up.
            "deletion": record(url, path, "delete", "--no-prompts", *NAMED, code=1),
        }


def allowed(sids: set[str], less: set[str]) -> list[Allowance]:
    policy = read_policy("deployer", {"STACK": STACK_NAME, "ACCOUNT": ACCOUNT})
    assert {one["Sid"] for one in policy["Statement"]} == FIRST | DELETION | BY_CLOUDFORMATION
    return [one for one in allowances(policy, sids) if one.action not in less]


@pytest.mark.parametrize(
    ("deployment", "sids", "less"), [("first", FIRST, LATER_ONLY), ("later", EACH, FIRST_ONLY)]
)
def test_a_deployment_calls_exactly_what_its_statements_allow(
    calls: dict[str, set[Right]], deployment: str, sids: set[str], less: set[str]
) -> None:
    needed, rights = calls[deployment], allowed(sids, less)
    assert [one for one in needed if not any(right.covers(*one) for right in rights)] == []
    assert [one for one in rights if not any(one.covers(*right) for right in needed)] == []


def test_a_deletion_calls_what_its_statements_allow(calls: dict[str, set[Right]]) -> None:
    needed, rights = calls["deletion"], allowed(DELETION, set())
    assert [one for one in needed if not any(right.covers(*one) for right in rights)] == []
    assert {"cloudformation:GetTemplate", "s3:DeleteObject"} <= {one.action for one in needed}
