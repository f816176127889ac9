"""The deployed endpoint: through API Gateway, the function, the queue and the worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.endpoint import Answer, post
from local.run import Local, drain, error_code, read_dead_letters, request
from local.workload import Workload
from timpush_server import Fault


def send(local: Local, body: Any, **options: Any) -> Answer:
    return post(local.endpoint_url, local.outputs["ApiId"], body, **options)


def document(*accounts: str) -> dict[str, Any]:
    return {"UserTags": [{"To_Account": account, "Tags": ["gold"]} for account in accounts]}


def know(local: Local, *accounts: str) -> Workload:
    """Make the accounts known; what is to be removed from them."""
    local.timpush.tags.update({account: {"gold", "kept"} for account in accounts})
    return Workload(removed={account: {"gold"} for account in accounts})


def test_the_requests_of_the_local_run_are_answered_as_they_must_be(local: Local) -> None:
    assert request(local, print) == []


def test_what_a_call_does_not_settle_is_finished_by_the_worker(local: Local) -> None:
    # Given TIMPush fails the one call of the request
    work = know(local, "first-fails")
    local.timpush.inject(Fault("code", code=91000))
    # When the request comes, it is accepted
    answer = send(local, document("first-fails"))
    assert (answer.status, answer.content["queued"]) == (202, 1)
    # Then the worker removes the tag
    assert drain(local.client("sqs"), local, work, print)
    assert local.timpush.tags["first-fails"] == {"kept"}


def test_more_than_a_call_takes_goes_onto_the_queue(local: Local) -> None:
    accounts = [f"many-{number}" for number in range(250)]
    work = know(local, *accounts)
    answer = send(local, document(*accounts))
    assert (answer.status, answer.content["queued"]) == (202, 250)
    assert drain(local.client("sqs"), local, work, print)
    assert all(local.timpush.tags[account] == {"kept"} for account in accounts)


def test_the_request_id_follows_a_user_to_the_dead_letter_queue(local: Local) -> None:
    # Given a user that TIMPush does not know, queued by a request
    sqs, url = local.client("sqs"), local.outputs["DeadLetterQueueUrl"]
    read_dead_letters(sqs, url)
    answer = send(local, document("nobody"), Prefer="respond-async")
    assert answer.headers["Preference-Applied"] == "respond-async"
    # When the worker dead-letters it, the request's id is on it
    assert drain(sqs, local, Workload(), print)
    [letter] = read_dead_letters(sqs, url)
    assert error_code(letter) == "70107"
    request_id = letter["MessageAttributes"]["RequestId"]["StringValue"]
    assert request_id == answer.content["requestId"]


def test_another_content_type_is_refused(local: Local) -> None:
    answer = send(local, document("user"), **{"Content-Type": "text/plain"})
    assert answer.status == 415


def test_an_unsigned_request_never_reaches_the_function(local: Local) -> None:
    know(local, "unsigned-user")
    assert send(local, document("unsigned-user"), signed=False).status == 403
    assert local.timpush.tags["unsigned-user"] == {"gold", "kept"}


def test_a_wrong_path_gets_the_reply_of_api_gateway(local: Local) -> None:
    answer = send(local, document("user"), path="/v1/remove")
    assert (answer.status, answer.content) == (403, {"message": "Missing Authentication Token"})


def test_a_body_above_5_mib_is_refused(local: Local) -> None:
    answer = send(local, "x" * (5 * 1024 * 1024 + 1))
    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


@contextmanager
def variables(local: Local, **changed: str) -> Iterator[None]:
    """The endpoint's function, with other variables meanwhile."""
    functions, name = local.client("lambda"), local.outputs["EndpointFunctionName"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def store(values: dict[str, str]) -> None:
        environment = {"Variables": values}
        functions.update_function_configuration(FunctionName=name, Environment=environment)
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    store(before | changed)
    try:
        yield
    finally:
        store(before)


def test_users_are_named_when_the_queue_is_out_of_reach(local: Local) -> None:
    know(local, "not-queued")
    with variables(local, QUEUE_URL=f"{local.outputs['QueueUrl']}-gone"):
        answer = send(local, document("not-queued"), Prefer="respond-async")
    assert answer.status == 503
    assert answer.content["unaccounted"] == ["not-queued"]
    assert int(answer.headers["Retry-After"]) > 0


def test_a_setting_that_is_missing_is_not_told_to_the_caller(local: Local) -> None:
    with variables(local, QUEUE_URL=""):
        answer = send(local, document("user"))
    assert (answer.status, answer.content["status"]) == (500, 500)
    assert answer.content["requestId"]
    assert "QUEUE_URL" not in str(answer.content)
