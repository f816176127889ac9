"""`python -m documents.examples`: runs the examples of the documents on the local stack.

An example is a fenced block. Its info string says where it can run:

    sh stack   on the deployed stack; names in capitals stand for the stack's own
    sh aws     not here: SKIPPED says why
    sh local   the local run itself, which this command has already done

Examples run one after the other, in a folder with a file of users. Exit code 1 if one fails.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from documents.regions import ROOT, documents
from local import stay
from local.emulator import REGION, aws_environment
from local.run import Local, deployed
from local.stack import STACK_NAME

STACK, AWS, LOCAL = "stack", "aws", "local"
SKIPPED = {
    "apigateway": "changes settings of an AWS account",
    "sam ": "the local stack is deployed by the same command, with parameters of its own",
    "./ops doctor": "runs after sam deploy; here it is tested by tests/ops",
    "secretsmanager": "would replace the secrets of the local stack",
    "git ": "changes the working tree",
    "job stop": "no job of the examples is still running; tests/ops has a stop",
    "start-message-move-task": "the emulator does not know the action",
}
"""What a block marked `sh aws` holds, and why that does not run here."""
BLOCK = re.compile(r"^```sh(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 300
FILES = {
    "winback.csv": "To_Account,Tags\nuser-1,gold|week-pass\nuser-2,gold\n",
    "ids.txt": "user-3\nuser-4\n",
}
PRELUDE = """
aws() { "$ROOT/.tools/awscli/bin/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
curl() { command curl --fail-with-body --silent --show-error "$@"; }
"""


class Example(NamedTuple):
    """A block of commands; `line` is that of its first command."""

    path: Path
    line: int
    kind: str
    text: str


def examples() -> Iterator[Example]:
    """Each block of shell commands, in the order of pages and lines."""
    for path in documents():
        page = path.read_text(encoding="utf-8")
        for found in BLOCK.finditer(page):
            line = page.count("\n", 0, found.start()) + 2
            yield Example(path, line, found["kind"].strip(), found["text"])


def substitute(text: str, names: dict[str, str]) -> str:
    """The commands with each name in capitals replaced; longer names first."""
    words = "|".join(sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w$])(?:{words})(?!\w)", lambda found: names[found[0]], text)


def names(local: Local) -> dict[str, str]:
    """What names in capitals stand for."""
    outputs = local.outputs
    machine = outputs["JobsStateMachineArn"]
    jobs = local.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    done = [one["name"] for one in jobs if one["status"] == "SUCCEEDED"]
    return {
        "NAME": STACK_NAME,
        "REGION": REGION,
        "URL": outputs["QueueUrl"],
        "API_URL": stay.variables(local)["API_URL"],
        "BUCKET": outputs["JobsBucketName"],
        "QUEUE_ARN": outputs["QueueArn"],
        "DEAD_LETTER_QUEUE_ARN": outputs["DeadLetterQueueArn"],
        "JOB_ID": done[0] if done else "none",
    }


def run(example: Example, local: Local, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a block as a script that stops at the first command that fails."""
    environment = aws_environment(local.endpoint_url) | stay.variables(local)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", PRELUDE + substitute(example.text, names(local))],
        env=environment | {"ROOT": str(ROOT), "AWS_SESSION_TOKEN": "test", "AWS_PAGER": ""},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def main() -> int:
    """The command; returns its exit code."""
    runnable = [one for one in examples() if one.kind == STACK]
    failed = 0
    with TemporaryDirectory() as name, deployed(lambda text: print(text, file=sys.stderr)) as local:
        folder = Path(name)
        (folder / "ops").symlink_to(ROOT / "ops")
        for file, content in FILES.items():
            (folder / file).write_text(content, encoding="utf-8")
        stay.make_users(local, stay.USERS)
        for example in runnable:
            done = run(example, local, folder)
            place = f"{os.path.relpath(example.path, ROOT)}:{example.line}"
            print(f"{'ok    ' if not done.returncode else 'FAILED'}  {place}", flush=True)
            if done.returncode:
                failed += 1
                print(done.stdout, file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
