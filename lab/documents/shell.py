"""Runs a command of the documents on the local stack, as someone who reads them would."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import urllib3

from documents.regions import ROOT
from local import stay
from local.emulator import REGION, aws_environment
from local.run import Local
from local.stack import STACK_NAME

SIGNING_KEY, OWN_SECRET = "timpush-signing-key", "own-usersig"
TO_STOP = "20261125T000000Z-00000000"
"""The id of the job that is stopped."""
PAUSE = "./ops pause --stack-name NAME"
BEFORE = {
    "create-secret": "aws secretsmanager delete-secret --force-delete-without-recovery"
    f" --secret-id {SIGNING_KEY}",
    "associate-web-acl": "aws wafv2 create-web-acl --name acl --scope REGIONAL"
    " --default-action Allow={} --visibility-config"
    " SampledRequestsEnabled=false,CloudWatchMetricsEnabled=false,MetricName=acl",
    "./ops budget": PAUSE,  # without invocations that run, it need not wait for their end
    "job stop": f"{PAUSE};"
    ' aws s3 cp winback.csv "s3://BUCKET/inbox/JOB_ID/winback.csv";'
    " until ./ops job JOB_ID --output json --stack-name NAME; do sleep 1; done",
}
"""What is done before a command that has these words. A second try must not find the first."""
AFTER = dict.fromkeys(("./ops budget", "job stop"), "./ops resume --stack-name NAME")
PAGE = "./ops board"
"""Serves a page until Ctrl-C."""
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")
SECONDS, PAGE_SECONDS = 300, 30
FILES = {
    "winback.csv": "To_Account,Tags\nuser-1,gold|week-pass\nuser-2,gold\n",
    "ids.txt": "user-3\nuser-4\n",
}
WRONG_MODULES = "wrong modules"
DEAD_PROXY = "http://127.0.0.1:9"
UNKIND = {
    "LC_ALL": "C",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD_PROXY),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
}
"""Variables of a user that must change nothing for make and ./ops."""
PRELUDE = """
unset MAKEFLAGS MFLAGS MAKELEVEL
alone() { env -u PYTHONPATH "$@"; }
aws() { alone "$ROOT/.tools/awscli/bin/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
curl() { command curl --fail-with-body --silent --show-error "$@"; }
make() { env -u NO_PROXY -u no_proxy make --no-print-directory -C "$ROOT" "$@"; }
python() { alone "$ROOT/.venv/bin/python" "$@"; }
.venv/bin/pytest() { (cd "$ROOT" && alone .venv/bin/pytest "$@"); }
"""


def prepare(local: Local, folder: Path) -> None:
    """Make the files, the users and the secret that the commands name."""
    for name in ("ops", "docs"):
        (folder / name).symlink_to(ROOT / name)
    for file, content in FILES.items():
        (folder / file).write_text(content, encoding="utf-8")
    (folder / WRONG_MODULES).mkdir()
    for module in ("json", "click", "boto3"):
        (folder / WRONG_MODULES / f"{module}.py").write_text("raise SystemExit('wrong module')")
    stay.make_users(local, stay.USERS)
    local.client("secretsmanager").create_secret(Name=OWN_SECRET, SecretString="{}")


def run(command: str, local: Local, folder: Path) -> tuple[int, str]:
    """Run a command and what belongs around it; its exit code, and what was printed."""
    steps = [text for words, text in BEFORE.items() if words in command]
    steps += [command, *(text for words, text in AFTER.items() if words in command)]
    output = ""
    for step in steps:
        names = names_of(local, TO_STOP if "job stop" in command else "")
        process = start(substitute(step, names), local, folder)
        output += (visit if PAGE in step else finish)(process, typed(step, local))
        if process.returncode:
            break
    return process.returncode, output


def substitute(text: str, names: dict[str, str]) -> str:
    """The commands with each name in capitals replaced; longer names first."""
    words = "|".join(sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w$])(?:{words})(?!\w)", lambda found: names[found[0]], text)


def names_of(local: Local, job_id: str) -> dict[str, str]:
    """What names in capitals stand for; without a job's id, one that is done."""
    outputs, api_url = local.outputs, stay.variables(local)["API_URL"]
    secret = local.client("secretsmanager").describe_secret(SecretId=OWN_SECRET)
    acls = local.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
    return {
        "ACCOUNT": "000000000000",
        "ACL": acls[0]["ARN"] if acls else "none",
        "API_ID": outputs["ApiId"],
        "API_URL": api_url,
        "BUCKET": outputs["JobsBucketName"],
        "DEAD_LETTER_QUEUE_ARN": outputs["DeadLetterQueueArn"],
        "JOB_ID": job_id or done_job(local),
        "JOBS_API_URL": api_url.replace("remove-tags", "jobs"),
        "NAME": STACK_NAME,
        "QUEUE_ARN": outputs["QueueArn"],
        "REGION": REGION,
        "SECRET_ARN": secret["ARN"],
        "UPLOAD_URL": upload_url(local),
        "URL": outputs["QueueUrl"],
    }


def done_job(local: Local) -> str:
    """The id of a job that is done."""
    machine = local.outputs["JobsStateMachineArn"]
    jobs = local.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return next((str(one["name"]) for one in jobs if one["status"] == "SUCCEEDED"), "none")


def upload_url(local: Local) -> str:
    """A URL as a request for a job with the option on-fault returns it."""
    upload = {"Bucket": local.outputs["JobsBucketName"], "Key": "inbox/winback.csv"}
    return str(
        local.client("s3").generate_presigned_url(
            "put_object", Params=upload | {"Metadata": {"on-fault": "skip"}}
        )
    )


def typed(command: str, local: Local) -> str:
    """What is typed at a command."""
    signed = local.timpush.usersig()
    answers = {
        "ARGS=decode": f"{signed}\n",
        "ARGS=verify": f"{signed}\n{local.timpush.key}\n",
        'usersig ARGS="sign': f"{local.timpush.key}\n",
        f"put-secret-value --secret-id {SIGNING_KEY}": '{"sdkappid": 1400000000}',
    }
    return next((answer for words, answer in answers.items() if words in command), "")


def environment_of(local: Local, folder: Path) -> dict[str, str]:
    """The variables of a reader's shell."""
    return (
        aws_environment(local.endpoint_url)
        | stay.variables(local)
        | UNKIND
        | {"PYTHONPATH": str(folder / WRONG_MODULES), "ROOT": str(ROOT)}
        | {"AWS_SESSION_TOKEN": "test", "AWS_PAGER": ""}
    )


def start(script: str, local: Local, folder: Path) -> "subprocess.Popen[str]":
    """A script that ends at the first command that fails."""
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", PRELUDE + script],
        env=environment_of(local, folder),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", answers: str, seconds: int = SECONDS) -> str:
    """Wait for the end of a process; what it printed."""
    try:
        return process.communicate(answers, timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return f"{process.communicate()[0]}\nit did not end within {seconds} s"


def visit(process: "subprocess.Popen[str]", answers: str) -> str:
    """Read the page whose address a process prints, then press Ctrl-C."""
    assert process.stdout
    line = process.stdout.readline()
    address = ADDRESS.search(line)
    status = 0
    if address:
        status = urllib3.request("GET", address[0], timeout=PAGE_SECONDS).status
        os.killpg(process.pid, signal.SIGINT)
    output = line + finish(process, answers, PAGE_SECONDS)
    if status != 200:
        process.returncode = 1
    return output
