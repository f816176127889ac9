"""Every metric of the application, as data: who emits it, its unit, and what it says.

Namespace `TimPushRemoveTag`, one dimension, `service`: the stack's name for worker, rotation and
jobs, `<stack>-endpoint` for the endpoint. So the number of series is fixed, whatever the traffic,
and so is the cost (CloudWatch bills each by the month). docs/reference.md lists them.
"""

from collections.abc import Mapping
from typing import NamedTuple

NAMESPACE = "TimPushRemoveTag"


class Metric(NamedTuple):
    """`unit` is CloudWatch's name of it."""

    unit: str
    meaning: str


USERSIG_SECONDS_LEFT = "UserSigSecondsLeft"
USERS_PER_CALL = "UsersPerCall"
CALL_LATENCY = "CallLatency"
TIMPUSH_DOWN = "TimPushDown"

_CALLS = {
    "Calls": Metric("Count", "calls to TIMPush, retries included"),
    "CallsFailed": Metric("Count", "calls that failed as a whole"),
    CALL_LATENCY: Metric("Milliseconds", "from a call's start to its end; one value a call"),
    "RateLimited": Metric("Count", "calls that TIMPush refused by rate, whole or for some users"),
    "CredentialErrors": Metric("Count", "refusals of the UserSig; no UserSig that could be sent"),
    "ConfigurationErrors": Metric("Count", "refusals for region, plan, app or product"),
    "ColdStarts": Metric("Count", "first invocations of an environment"),
    USERSIG_SECONDS_LEFT: Metric("Seconds", "remaining life of the UserSig"),
}

WORKER = {
    "UsersRemoved": Metric("Count", "users who lost every tag that was wanted off them"),
    "UsersParked": Metric("Count", "users on the dead-letter queue, once for each code"),
    "UsersParkedInput": Metric("Count", "of these: refused by TIMPush for good"),
    "UsersParkedExpired": Metric("Count", "of these: `NotAfter` had passed"),
    "MessagesParkedMalformed": Metric("Count", "messages dead-lettered whole: malformed"),
    "MessagesHandedBack": Metric("Count", "messages that return, whole or as their rest"),
    "HandedBackTransient": Metric("Count", "of these: no reply, no sense in it, or TIMPush down"),
    "HandedBackRateLimited": Metric("Count", "of these: refused by rate"),
    "HandedBackCredentials": Metric("Count", "of these: no UserSig that TIMPush takes"),
    "HandedBackConfiguration": Metric("Count", "of these: region, plan, app or product"),
    "HandedBackUnknown": Metric("Count", "of these: a code that is not documented"),
    "HandedBackUnfinished": Metric("Count", "of these: no time, or no extra call, was left"),
    "HandedBackParking": Metric("Count", "of these: the dead-letter queue did not take them"),
    "HandedBackJobs": Metric("Count", "of these: the table of jobs did not take the record"),
    USERS_PER_CALL: Metric("Count", "users in a call (100 is full); one value a call"),
    "OddReplies": Metric(
        "Count", "replies that make no sense or hide failures under an undocumented key"
    ),
    TIMPUSH_DOWN: Metric("Count", "1: this invocation found TIMPush down; 0: a call succeeded"),
    **_CALLS,
}

ENDPOINT = {
    "UsersRemoved": Metric("Count", "users whose tags were removed before the reply"),
    "UsersFailed": Metric("Count", "users who can never succeed, as told in the reply"),
    "UsersQueued": Metric("Count", "users put onto the queue"),
    "UsersUnaccounted": Metric("Count", "users whom the queue did not take: to be sent again"),
    **_CALLS,
}

JOBS_ENDED = {"done": "JobsFinished", "failed": "JobsFailed", "stopped": "JobsStopped"}
"""State in which a job ended -> the metric that counts it."""
JOB_IDLE_SECONDS = "JobSecondsWithoutProgress"

JOBS = {
    "JobsFinished": Metric("Count", "jobs that ended as `done`"),
    "JobsFailed": Metric("Count", "jobs that ended as `failed`"),
    "JobsStopped": Metric("Count", "jobs that ended as `stopped`"),
    JOB_IDLE_SECONDS: Metric(
        "Seconds", "since a message of a job was last settled; one value a look at a running job"
    ),
}

ROTATION = {USERSIG_SECONDS_LEFT: _CALLS[USERSIG_SECONDS_LEFT]}

HANDED_BACK = {
    "transient": "HandedBackTransient",
    "down": "HandedBackTransient",
    "rate_limited": "HandedBackRateLimited",
    "credentials": "HandedBackCredentials",
    "configuration": "HandedBackConfiguration",
    "unknown": "HandedBackUnknown",
    "deadline": "HandedBackUnfinished",
    "unsent": "HandedBackUnfinished",
    "isolation": "HandedBackUnfinished",
    "parking": "HandedBackParking",
    "jobs": "HandedBackJobs",
}
"""Why a message returns to the queue -> the metric that counts it."""

SAMPLED = frozenset({USERS_PER_CALL, CALL_LATENCY, USERSIG_SECONDS_LEFT, TIMPUSH_DOWN})
"""Metrics with any number of values an invocation, none included."""
PROVEN_BY_CALLS = frozenset({"CredentialErrors", "ConfigurationErrors"})
"""An invocation without calls says nothing of these: a 0 would end their alarms too soon."""


def counters(metrics: dict[str, Metric], counts: Mapping[str, float]) -> list[str]:
    """The metrics that an invocation with these counts has one value of, 0 included."""
    names = [name for name in metrics if name not in SAMPLED]
    called = counts["Calls"] > 0
    return [name for name in names if called or counts[name] or name not in PROVEN_BY_CALLS]
