"""The endpoint's function between a queue, a secret and a stand-in TIMPush.

`Api.post` is one request as API Gateway hands it over. Faults of the queue go through botocore's
own hooks on the client that the function holds.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remove_tags_api import app, environment
from support.clients import secrets_client, sqs_client
from support.rotation import Context, aws_variables
from timpush.settings import read_api_settings
from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

REQUEST_ID = "0f1e2d3c-4b5a-4968-8776-655443322110"
JSON = {"Content-Type": "application/json"}
Tags = dict[str, list[str]]


def document(tags: Tags, **extra: Any) -> dict[str, Any]:
    """The body that asks to remove these tags of these accounts."""
    rows = [{"To_Account": account, "Tags": names} for account, names in tags.items()]
    return {"UserTags": rows} | extra


def users(count: int, tags: int = 1) -> Tags:
    """So many users with so many tags each."""
    return {f"user-{n}": [f"tag-{t}" for t in range(tags)] for n in range(count)}


def api_event(
    body: Any, headers: dict[str, str] | None = None, request_id: str = REQUEST_ID, **changes: Any
) -> dict[str, Any]:
    """A request as API Gateway's proxy integration hands it over; `body` becomes JSON."""
    sent = JSON if headers is None else headers
    return {
        "resource": "/v1/remove-tags",
        "path": "/v1/remove-tags",
        "httpMethod": "POST",
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "httpMethod": "POST",
            "path": "/live/v1/remove-tags",
            "requestId": request_id,
            "resourcePath": "/v1/remove-tags",
            "stage": "live",
        },
        "body": body if isinstance(body, str | None) else json.dumps(body),
        "isBase64Encoded": False,
    } | changes


@dataclass(frozen=True)
class Reply:
    """What the caller gets; `content` is the body read as JSON."""

    status: int
    headers: dict[str, str]
    content: dict[str, Any]

    @classmethod
    def read(cls, reply: dict[str, Any]) -> "Reply":
        json.dumps(reply)  # Lambda must be able to send it
        headers = {name.lower(): ", ".join(v) for name, v in reply["multiValueHeaders"].items()}
        return cls(reply["statusCode"], headers, json.loads(reply["body"]))

    @property
    def failed(self) -> dict[str, int | str]:
        """Account -> ErrorCode of those that can never succeed."""
        return {row["To_Account"]: row["ErrorCode"] for row in self.content["failed"]}

    @property
    def counted(self) -> int:
        """The users that the reply accounts for, those it names as unaccounted included."""
        rows = len(self.content["failed"]) + len(self.content.get("unaccounted", []))
        return int(self.content["removed"] + self.content["queued"] + rows)


@dataclass
class Api:
    """The function, and what stands around it."""

    timpush: TimPushServer
    sqs: "SQSClient"
    secrets: "SecretsManagerClient"
    queue_url: str
    secret_id: str

    def send(self, event: dict[str, Any], seconds: float = 26.0) -> Reply:
        """Invoke the function with an event; Lambda leaves so many seconds for it."""
        return Reply.read(app.lambda_handler(event, Context(seconds)))

    def post(
        self, body: Any, headers: dict[str, str] | None = None, seconds: float = 26.0
    ) -> Reply:
        """One request with a JSON body."""
        return self.send(api_event(body, JSON | (headers or {})), seconds)

    def store_secret(self, text: str) -> None:
        """Make this the secret's value."""
        self.secrets.put_secret_value(SecretId=self.secret_id, SecretString=text)

    def messages(self) -> list[Any]:
        """Take every message off the queue."""
        found: list[Any] = []
        while True:
            reply = self.sqs.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            received = reply.get("Messages", [])
            if not received:
                return found
            found.extend(received)
            self.sqs.delete_message_batch(
                QueueUrl=self.queue_url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": one["ReceiptHandle"]}
                    for index, one in enumerate(received)
                ],
            )

    def queued(self) -> Tags:
        """Take every message off the queue; the tags in them by account."""
        tags: Tags = {}
        for message in self.messages():
            for row in json.loads(message["Body"])["UserTags"]:
                tags.setdefault(row["To_Account"], []).extend(row["Tags"])
        return tags

    @contextmanager
    def queue_hook(self, name: str, hook: Callable[..., Any]) -> Iterator[None]:
        """Each SendMessageBatch of the function meanwhile goes through a hook of botocore."""
        events = environment.make_endpoint(read_api_settings(os.environ)).sqs.meta.events
        events.register(f"{name}.sqs.SendMessageBatch", hook)
        try:
            yield
        finally:
            events.unregister(f"{name}.sqs.SendMessageBatch", hook)

    @contextmanager
    def queue_fault(self, fault: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """The parameters of each SendMessageBatch meanwhile go through `fault`."""
        with self.queue_hook("before-parameter-build", lambda params, **_: fault(params)):
            yield


def losing(lost: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], None]:
    """A queue that does not take the entries for which `lost` is true."""

    def fault(params: dict[str, Any]) -> None:
        params["Entries"] = [entry for entry in params["Entries"] if not lost(entry)]

    return fault


@contextmanager
def serving(aws_url: str, set_variable: Callable[[str, str], None]) -> Iterator[Api]:
    """An endpoint with an empty queue and a good UserSig, its environment variables set."""
    for name, value in aws_variables(aws_url).items():
        set_variable(name, value)
    sqs, secrets = sqs_client(aws_url), secrets_client(aws_url)
    queue = sqs.create_queue(
        QueueName=f"queue-{uuid.uuid4()}", Attributes={"MaximumMessageSize": "1048576"}
    )
    with TimPushServer(calls_per_second=None) as timpush:
        secret = secrets.create_secret(
            Name=f"usersig-{uuid.uuid4()}", SecretString=timpush.secret()
        )
        variables = {
            "TIMPUSH_REGION": "singapore",
            "TIMPUSH_ENDPOINT_URL": timpush.url,
            "TIMPUSH_SECRET_ID": secret["Name"],
            "QUEUE_URL": queue["QueueUrl"],
        }
        for name, value in variables.items():
            set_variable(name, value)
        yield Api(timpush, sqs, secrets, queue["QueueUrl"], secret["Name"])
        environment.make_endpoint.cache_clear()
    sqs.close()
    secrets.close()
