"""The deployed stack: from the queue to TIMPush and to the dead-letter queue."""

import json
import time

from local.run import Local, check, drain, error_code, read_dead_letters, run, send
from local.workload import Workload, make_workload
from timpush_server import Fault

PATIENCE_SECONDS = 60.0


def test_every_user_of_a_mixed_load_is_accounted_for(local: Local) -> None:
    assert run(local, make_workload(users=600), print)


def test_the_check_of_the_local_run_can_fail(local: Local) -> None:
    # Given a load that was never sent
    work = Workload()
    work.send({"never-sent": ["gold"]})
    local.timpush.tags.update({account: set(tags) for account, tags in work.tags.items()})
    # When it is checked, then the user is missed
    assert len(check(local, work, dead_letters=[])) == 1


def test_a_transient_fault_is_ridden_out_in_one_invocation(local: Local) -> None:
    # Given TIMPush drops one call and answers 502 to the next
    work = Workload()
    work.send({"transient-user": ["gold"]})
    local.timpush.tags.update({account: set(tags) for account, tags in work.tags.items()})
    local.timpush.inject(Fault("drop"))
    local.timpush.inject(Fault("status", status=502))
    # When the message is sent
    sqs = local.client("sqs")
    send(sqs, local.outputs["QueueUrl"], work.bodies)
    # Then the tag is gone and nothing was dead-lettered
    assert drain(sqs, local, work, print)
    assert check(local, work, read_dead_letters(sqs, local.outputs["DeadLetterQueueUrl"])) == []


def test_a_dead_letter_can_be_sent_back_as_it_is(local: Local) -> None:
    # Given a user that TIMPush does not know yet
    sqs, queue_url = local.client("sqs"), local.outputs["QueueUrl"]
    message = {"UserTags": [{"To_Account": "imported-late", "Tags": ["gold"]}]}
    send(sqs, queue_url, [json.dumps(message)])
    dead_letters = await_dead_letters(local)
    assert [error_code(one) for one in dead_letters] == ["70107"]
    # When the user is imported and the document goes back to the queue
    local.timpush.tags["imported-late"] = {"gold", "silver"}
    send(sqs, queue_url, [dead_letters[0]["Body"]])
    # Then the tag is removed
    until = time.monotonic() + PATIENCE_SECONDS
    while "gold" in local.timpush.tags["imported-late"] and time.monotonic() < until:
        time.sleep(0.2)
    assert local.timpush.tags["imported-late"] == {"silver"}


def await_dead_letters(local: Local) -> list[dict[str, str]]:
    sqs, url = local.client("sqs"), local.outputs["DeadLetterQueueUrl"]
    until = time.monotonic() + PATIENCE_SECONDS
    while not (dead_letters := read_dead_letters(sqs, url)) and time.monotonic() < until:
        time.sleep(0.2)
    return dead_letters
