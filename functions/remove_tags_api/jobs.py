"""Jobs over HTTPS: prepare an upload that starts one, list, read and stop them.

POST and GET /v1/jobs, GET and DELETE /v1/jobs/{id}. docs/openapi.yaml describes every reply.
The table is imported when it is used: requests to remove tags start without it.
"""

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from remove_tags_api import reply, report
from remove_tags_api.request import RefusedError, read_body
from timpush.aws import make_dynamodb, make_presigner
from timpush.errors import MalformedMessageError
from timpush.jobs.options import Options, OptionsError, check_ahead, read_fields, write_options
from timpush.jobs.rows import SUFFIXES, guess_format
from timpush.jobs.state import new_job_id, timestamp, upload_key
from timpush.messages import MAX_FAULTS, parse_object
from timpush.settings import read_jobs_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from timpush.jobs.table import Table

PATH = "/v1/jobs"
UPLOAD_SECONDS = 900
"""A presigned URL is good for so long: the upload must begin by then."""
FILE_NAME = "file-name"
DEFAULT_FILE_NAME = "users.csv"
MAX_FILE_NAME_BYTES = 255
DEFAULT_JOBS, MAX_JOBS = 20, 100

router = Router()  # type: ignore[no-untyped-call]


@router.post(PATH)
def prepare_upload() -> Response[str]:
    """A job's id, and a URL to upload its file to: the upload starts the job."""
    fields = parse_object(read_body(router.current_event.raw_event))
    file_name, options = read_request(fields, time.time())
    job_id = new_job_id()
    return respond(
        HTTPStatus.CREATED,
        make_upload(job_id, file_name, options),
        {"Location": f"{request_context().get('path', PATH)}/{job_id}"},
    )


@router.get(PATH)
def list_latest() -> Response[str]:
    """The latest jobs, latest first."""
    from timpush.jobs.table import list_jobs

    query = router.current_event.raw_event.get("queryStringParameters") or {}
    limit = read_limit(query.get("limit", str(DEFAULT_JOBS)))
    return respond(HTTPStatus.OK, {"Jobs": list_jobs(table(), limit)})


@router.get(f"{PATH}/<job_id>")
def show(job_id: str) -> Response[str]:
    """One job, with its figures as of now."""
    from timpush.jobs.table import read_job

    job = read_job(table(), job_id)
    return respond(HTTPStatus.OK, job) if job else no_job(job_id)


@router.delete(f"{PATH}/<job_id>")
def stop(job_id: str) -> Response[str]:
    """Stop one job; a second time does nothing more."""
    from timpush.jobs.table import read_job, stop_job

    stopped = stop_job(table(), job_id, f"stopped by {caller()}")
    job = read_job(table(), job_id)
    if job is None:
        return no_job(job_id)
    if stopped or (job["State"] == "stopped" and not job["EndedAt"]):
        return respond(HTTPStatus.ACCEPTED, job)
    return problem(HTTPStatus.CONFLICT, f"the job has ended: {job['State']}")


def read_request(fields: dict[str, Any], now: float) -> tuple[str, Options]:
    """The file's name and the options of a request.

    Raises:
        MalformedMessageError: with the JSON pointer and the rule of each fault.
    """
    given = dict(fields)
    file_name = given.pop(FILE_NAME, DEFAULT_FILE_NAME)
    faults = [(f"/{FILE_NAME}", rule) for rule in [file_name_fault(file_name)] if rule]
    options = Options()
    try:
        options = read_fields(given)
        if options.not_after is not None:
            check_ahead(options.not_after, now)
    except OptionsError as error:
        faults += [(f"/{pointer_part(name)}", rule) for name, rule in error.faults]
    except ValueError as error:
        faults.append(("/not-after", str(error)))
    if faults:
        raise MalformedMessageError(faults[:MAX_FAULTS])
    return file_name, options


def file_name_fault(value: Any) -> str:
    """The rule that a file's name breaks, if any."""
    if not isinstance(value, str) or not value.isprintable() or "/" in value:
        return "must be the name of a file, without a folder"
    if len(value.encode()) > MAX_FILE_NAME_BYTES:
        return f"must be at most {MAX_FILE_NAME_BYTES} bytes of UTF-8"
    if guess_format(value) is None:
        return f"must end in {', '.join(SUFFIXES)}, or in that and .gz"
    return ""


def pointer_part(name: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def read_limit(value: str) -> int:
    """The number of jobs to list.

    Raises:
        RefusedError: it is not a number from 1 to 100.
    """
    if value.isascii() and value.isdigit() and len(value) < 4 and 1 <= int(value) <= MAX_JOBS:
        return int(value)
    raise RefusedError(HTTPStatus.BAD_REQUEST, f"limit must be a number from 1 to {MAX_JOBS}")


def make_upload(job_id: str, file_name: str, options: Options) -> dict[str, Any]:
    """The reply that says how to upload: each header must be sent as it stands."""
    bucket = read_jobs_settings(os.environ).bucket
    key, metadata = upload_key(job_id, file_name), write_options(options)
    url = presigner().generate_presigned_url(
        "put_object",
        Params={"Bucket": bucket, "Key": key, "Metadata": metadata},
        ExpiresIn=UPLOAD_SECONDS,
    )
    return {
        "JobId": job_id,
        "UploadUrl": url,
        "UploadMethod": "PUT",
        "UploadHeaders": {f"x-amz-meta-{name}": value for name, value in metadata.items()},
        "ExpiresAt": timestamp(datetime.fromtimestamp(time.time() + UPLOAD_SECONDS, UTC)),
        "Bucket": bucket,
        "Key": key,
    }


def caller() -> str:
    """Who signed the request, as API Gateway says."""
    identity = request_context().get("identity") or {}
    return str(identity.get("userArn") or "a request")


def request_context() -> dict[str, Any]:
    """What API Gateway says of the request."""
    return router.current_event.raw_event.get("requestContext") or {}


def table() -> "Table":
    """The table of jobs."""
    return make_table(read_jobs_settings(os.environ).table)


@lru_cache(maxsize=1)
def make_table(name: str) -> "Table":
    """The table, with a client that the environment keeps."""
    from timpush.jobs.table import Table

    return Table(make_dynamodb(), name)


@lru_cache(maxsize=1)
def presigner() -> "S3Client":
    """A client that the environment keeps."""
    return make_presigner()


def respond(
    status: HTTPStatus, document: Any, headers: dict[str, str] | None = None
) -> Response[str]:
    """A reply that is the document itself, without the request's id."""
    return reply.json_response(status, document, "application/json", headers or {})


def no_job(job_id: str) -> Response[str]:
    """404."""
    detail = f"there is no job {job_id[:80]}: it begins once its file is uploaded"
    return problem(HTTPStatus.NOT_FOUND, detail)


def problem(status: HTTPStatus, detail: str) -> Response[str]:
    """A problem document."""
    report.log_refused(status, detail)
    return reply.problem(status, detail, router.context["request_id"])
