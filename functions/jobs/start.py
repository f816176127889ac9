"""An upload below inbox/ -> an execution of the state machine, named with the job's id."""

import hashlib
import json
import os
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from jobs.job import CONFIG
from timpush.jobs.state import chosen_id

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, str]:
    """Start the job of an event `Object Created`; one that is delivered again starts none."""
    job_id, document = read_upload(event)
    states = make_client()
    try:
        states.start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"], name=job_id, input=json.dumps(document)
        )
    except states.exceptions.ExecutionAlreadyExists:
        logger.warning("the job was started before", extra={"job_id": job_id})
    return {"JobId": job_id}


@lru_cache(maxsize=1)
def make_client() -> "SFNClient":
    """A client of Step Functions, kept between invocations."""
    return boto3.client("stepfunctions", config=CONFIG)


def read_upload(event: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The job's id, and what its execution starts with.

    Without an id in its key, an upload gets one of its time and its version: the same for an event
    that is delivered twice.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (2026-11).
    """
    bucket, found = event["detail"]["bucket"]["name"], event["detail"]["object"]
    key, version_id = found["key"], found.get("version-id", "")
    job_id = chosen_id(key)
    if job_id is None:
        marks = json.dumps([key, version_id, found.get("etag"), found.get("sequencer")])
        moment = datetime.fromisoformat(event["time"])
        job_id = f"{moment:%Y%m%dT%H%M%SZ}-{hashlib.sha256(marks.encode()).hexdigest()[:8]}"
    return job_id, {"Bucket": bucket, "Key": key, "VersionId": version_id}
