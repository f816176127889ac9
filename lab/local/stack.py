"""Deploys the built template to the emulator with `sam deploy`, and removes it again."""

import subprocess
from typing import Any

import boto3
from botocore.config import Config

from local.emulator import REGION, ROOT, aws_environment

SAM = ROOT / ".tools/sam/bin/sam"
BUILT = ROOT / ".aws-sam/build/template.yaml"
STACK_NAME = "timpush-local"
DEPLOY_SECONDS = 180.0


def deploy(endpoint_url: str, parameters: dict[str, str]) -> dict[str, str]:
    """Deploy (or update) the stack; returns its outputs.

    Raises:
        RuntimeError: sam failed; the text is what it printed.
    """
    _sam(endpoint_url, *deploy_arguments(parameters))
    stack = client("cloudformation", endpoint_url).describe_stacks(StackName=STACK_NAME)["Stacks"][
        0
    ]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def deploy_arguments(parameters: dict[str, str]) -> list[str]:
    """The arguments of SAM to deploy the built template with these parameters."""
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    return [
        "deploy",
        *("--template-file", str(BUILT), "--stack-name", STACK_NAME, "--region", REGION),
        *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
        *("--no-confirm-changeset", "--no-progressbar", "--no-fail-on-empty-changeset"),
        *(("--parameter-overrides", *overrides) if overrides else ()),
    ]


def sam_environment(endpoint_url: str) -> dict[str, str]:
    """The environment in which SAM reaches the emulator and nothing else."""
    return aws_environment(endpoint_url) | {
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(ROOT / ".tools/sam-home"),
    }


def _sam(endpoint_url: str, *arguments: str) -> None:
    done = subprocess.run(
        [SAM, *arguments],
        env=sam_environment(endpoint_url),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEPLOY_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"sam {arguments[0]} failed:\n{done.stdout[-4000:]}")


def client(service: Any, endpoint_url: str) -> Any:
    """A boto3 client of the emulator, with made-up keys."""
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 3}),
    )
