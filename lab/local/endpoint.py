"""Requests to the deployed HTTPS endpoint, through the emulator's API Gateway."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.emulator import REGION

STAGE = "live"
SECONDS = 40.0


@dataclass(frozen=True)
class Answer:
    """What the endpoint answered."""

    status: int
    content: Any
    headers: Mapping[str, str]


def post(
    endpoint_url: str,
    api_id: str,
    body: Any,
    *,
    signed: bool = True,
    path: str = "/v1/remove-tags",
    method: str = "POST",
    **headers: str,
) -> Answer:
    """One request, of any method; `body` becomes JSON unless it is text."""
    url = f"{endpoint_url}/restapis/{api_id}/{STAGE}/_user_request_{path}"
    text = body if isinstance(body, str) else json.dumps(body)
    request: Any = AWSRequest(method, url, {"Content-Type": "application/json"} | headers, text)
    if signed:
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
    reply = urllib3.request(
        method, url, body=text, headers=dict(request.headers.items()), timeout=SECONDS
    )
    return Answer(reply.status, json.loads(reply.data), reply.headers)
