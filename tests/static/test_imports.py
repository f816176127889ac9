"""The import budget: what a function must not load, for its cold path. No time is asserted.

Each built function is imported in a process of its own, with its layer and what the Python runtime
of Lambda brings; the worker then removes a user's tag, so that what it imports late counts too.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.packages import runtime_packages
from reliability.runtime import BUILD, LAYER, PYTHON
from support.clients import secrets_client, sqs_client
from support.environment import worker_environment
from support.rotation import aws_variables, moto_server
from support.worker import body, sqs_event
from timpush_server import TimPushServer

EVERYWHERE = (
    # never needed in Lambda
    "_pytest",
    "doctest",
    "ensurepip",
    "pdb",
    "pip",
    "pkg_resources",
    "pydoc",
    "setuptools",
    "sqlite3",
    "tkinter",
    "unittest",
    "venv",
    # other HTTP clients, and other ways to do many things at once
    "aiohttp",
    "http.server",
    "httpx",
    "requests",
    "socketserver",
    "xmlrpc",
    # validators and tracers
    "aws_xray_sdk",
    "fastjsonschema",
    "jsonschema",
    "opentelemetry",
    "pydantic",
    "pydantic_core",
    # parts of what is loaded that cost much
    "aws_lambda_powertools.event_handler.openapi.models",
    "aws_lambda_powertools.event_handler.openapi.params",
    "aws_lambda_powertools.event_handler.openapi.swagger_ui",
    "aws_lambda_powertools.metrics.provider.datadog",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.idempotency",
    "aws_lambda_powertools.utilities.parameters",
    "aws_lambda_powertools.utilities.parser",
    "aws_lambda_powertools.utilities.validation",
    "boto3.dynamodb",
    "boto3.ec2",
    "boto3.s3.inject",
    "botocore.crt.auth",
    "s3transfer.crt",
    "urllib3.contrib.emscripten",
    "urllib3.contrib.pyopenssl",
    "urllib3.contrib.socks",
    "urllib3.http2.connection",
)
NOT_WITHOUT_REQUESTS = (
    # Powertools' event handler loads these; only the endpoint has it
    "asyncio",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.data_classes",
)
PROBE = """
import importlib, json, pathlib, sys
sys.path[:0] = sys.argv[2:]
(path,) = pathlib.Path(sys.argv[2]).glob("*/app.py")
app = importlib.import_module(f"{path.parent.name}.app")
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 60_000
reply = app.lambda_handler(json.loads(sys.argv[1]), Context()) if sys.argv[1] else None
print(json.dumps({"modules": sorted(sys.modules), "reply": reply}))
"""


def load(name: str, variables: dict[str, str], event: str = "") -> tuple[list[str], object]:
    """The modules that a function has loaded, and its reply to an event, if there is one."""
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-B", "-c", PROBE, event, BUILD / name, LAYER, runtime_packages()],
        env={"PATH": "", "AWS_DEFAULT_REGION": "us-east-1"} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return found["modules"], found["reply"]


def over_budget(modules: list[str], forbidden: tuple[str, ...]) -> list[str]:
    """The modules that are in a forbidden one, or are it."""
    return [one for one in modules if any(f"{one}.".startswith(f"{no}.") for no in forbidden)]


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """The worker's, with servers on this machine behind them."""
    with moto_server() as aws, TimPushServer() as timpush:
        timpush.tags["user-1"] = {"gold"}
        secrets_client(aws).create_secret(Name="usersig", SecretString=timpush.secret())
        queue_url = sqs_client(aws).create_queue(QueueName="queue")["QueueUrl"]
        yield aws_variables(aws) | worker_environment(
            TIMPUSH_ENDPOINT_URL=timpush.url,
            TIMPUSH_SECRET_ID="usersig",
            QUEUE_URL=queue_url,
            DEAD_LETTER_QUEUE_URL=queue_url,
        )


def test_the_worker_stays_within_its_budget_after_a_batch(variables: dict[str, str]) -> None:
    event = json.dumps(sqs_event([body({"user-1": ["gold"]})]))
    modules, reply = load("RemoveTagsWorker", variables, event)
    assert reply == {"batchItemFailures": []}
    assert {"boto3", "timpush.removal.engine", "urllib3"} <= set(modules)
    assert over_budget(modules, EVERYWHERE + NOT_WITHOUT_REQUESTS) == []


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("RemoveTagsWorker", EVERYWHERE + NOT_WITHOUT_REQUESTS),
        ("RotateUserSig", EVERYWHERE + NOT_WITHOUT_REQUESTS),
        ("RemoveTagsEndpoint", EVERYWHERE),
    ],
)
def test_a_function_stays_within_its_budget(name: str, forbidden: tuple[str, ...]) -> None:
    modules, _ = load(name, {})
    assert "boto3" in modules
    assert over_budget(modules, forbidden) == []


def test_a_module_is_over_budget_with_all_that_is_in_it() -> None:
    modules = ["asyncio", "asyncio.events", "asynciox", "json"]
    assert over_budget(modules, ("asyncio",)) == ["asyncio", "asyncio.events"]
