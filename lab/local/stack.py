"""Builds templates with `sam build`, and deploys them to the emulator with `sam deploy`."""

import subprocess
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.emulator import REGION, ROOT, aws_environment

SAM = ROOT / ".tools/sam/bin/sam"
BUILT = ROOT / ".aws-sam/build/template.yaml"
STACK_NAME = "timpush-local"
DEPLOY_SECONDS = 180.0
UNKNOWN_TO_EMULATOR = {"SavedQueries": "false", "WatchBudget": "false"}
"""Parameters that leave out saved queries and metric math."""


def deploy(endpoint_url: str, parameters: dict[str, str], template: Path = BUILT) -> dict[str, str]:
    """Deploy (or update) the stack with the settings of samconfig.toml; returns its outputs.

    Raises:
        RuntimeError: sam failed; the text is what it printed.
    """
    _sam(endpoint_url, *deploy_arguments(parameters, template))
    stack = client("cloudformation", endpoint_url).describe_stacks(StackName=STACK_NAME)["Stacks"][
        0
    ]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def deploy_arguments(parameters: dict[str, str], template: Path = BUILT) -> list[str]:
    """The arguments of SAM to deploy the stack with these parameters."""
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    return [
        "deploy",
        *("--template-file", str(template), "--config-file", str(ROOT / "samconfig.toml")),
        *("--stack-name", STACK_NAME, "--region", REGION),
        *("--no-confirm-changeset", "--no-progressbar"),
        *(("--parameter-overrides", *overrides) if overrides else ()),
    ]


def build(folder: Path) -> Path:
    """Build the template of a folder as its own `make build` does; returns what is to be deployed.

    Raises:
        RuntimeError: sam failed; the text is what it printed.
    """
    _sam("http://127.0.0.1:9", "build", cwd=folder)
    return folder / ".aws-sam/build/template.yaml"


def sam_environment(endpoint_url: str) -> dict[str, str]:
    """The environment in which SAM reaches the emulator and nothing else."""
    return aws_environment(endpoint_url) | {
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(ROOT / ".tools/sam-home"),
    }


def _sam(endpoint_url: str, *arguments: str, cwd: Path = ROOT) -> None:
    done = subprocess.run(
        [SAM, *arguments],
        env=sam_environment(endpoint_url),
        cwd=cwd,
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
