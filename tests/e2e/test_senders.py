"""SNS and EventBridge as senders: what they deliver is a message that the worker understands."""

import json
import time

import pytest

from local.run import Local

pytestmark = pytest.mark.slow  # deploys a stack of its own

SECONDS = 60.0


def message(account: str) -> str:
    return json.dumps({"UserTags": [{"To_Account": account, "Tags": ["gold"]}]})


def removed(local: Local, account: str) -> bool:
    until = time.monotonic() + SECONDS
    while "gold" in local.timpush.tags[account] and time.monotonic() < until:
        time.sleep(0.2)
    return local.timpush.tags[account] == {"kept"}


def test_a_topic_with_raw_message_delivery(local: Local) -> None:
    local.timpush.tags["by-topic"] = {"gold", "kept"}
    sns = local.client("sns")
    topic = sns.create_topic(Name="removals")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=local.outputs["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    sns.publish(TopicArn=topic, Message=message("by-topic"))
    assert removed(local, "by-topic")


def test_a_rule_that_sends_the_detail_of_an_event(local: Local) -> None:
    local.timpush.tags["by-rule"] = {"gold", "kept"}
    events = local.client("events")
    events.put_rule(Name="removals", EventPattern=json.dumps({"source": ["campaigns"]}))
    target = {"Id": "queue", "Arn": local.outputs["QueueArn"], "InputPath": "$.detail"}
    events.put_targets(Rule="removals", Targets=[target])
    entry = {"Source": "campaigns", "DetailType": "removal", "Detail": message("by-rule")}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert removed(local, "by-rule")
