"""Whatever is wanted and whatever TIMPush answers: each tag ends once, and truthfully."""

import math
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from support.scene import (
    UNIX_START,
    Reply,
    Scene,
    Script,
    Started,
    failing,
    listing,
    outcomes,
    refusing,
    secret,
    usersig,
)
from timpush.errors import ConnectionReuseError, InputError, TransientError
from timpush.messages import Document
from timpush.outcomes import EXPIRED, Outcome
from timpush.removal.engine import Removal
from timpush.tencent.codes import CODES

REASONS = {
    *("transient", "rate_limited", "credentials", "configuration", "unknown"),
    *("isolation", "deadline", "down"),
}
INPUT = [code for code, (error, _) in CODES.items() if error is InputError]
ONE_OF_EACH_CLASS = [91000, 60007, 70009, 60026, 90034, 70107, 99999]

codes = st.sampled_from(ONE_OF_EACH_CLASS)
answers = st.one_of(
    st.just(Reply()),
    codes.map(failing),
    st.just(Reply(TransientError("HTTP502", ""))),
    st.just(Reply(ConnectionReuseError("Dropped", ""))),
    st.tuples(codes, st.integers(1, 4)),
)
latencies = st.sampled_from([0.0, 0.1, 0.3, 1.0, 4.9, math.inf])
users = st.tuples(
    st.integers(0, 130).map("account-{}".format),
    st.lists(st.integers(0, 25).map("tag-{}".format), min_size=1, max_size=14, unique=True),
)
documents = st.builds(
    Document,
    st.lists(users, min_size=1, max_size=150),
    st.none() | st.floats(UNIX_START - 5, UNIX_START + 60),
)
refused = st.frozensets(users.map(lambda user: user[0]) | st.just("tag-7"), max_size=4)
secrets = st.sampled_from(
    [secret(usersig("first")), secret(usersig("second")), secret(usersig("short", 20)), "{}"]
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Answers in turn, each with its latency; refused accounts and tags fail their calls."""
    script = draw(st.lists(st.tuples(answers, latencies), min_size=1, max_size=8))
    refused_code = draw(codes)
    refuse: Callable[..., Reply] = refusing(draw(refused), refused_code)
    turns = iter(range(1_000_000))

    def answer(call: list[tuple[str, list[str]]], credential: object) -> Reply:
        given, latency = script[next(turns) % len(script)]
        if isinstance(given, tuple):
            code, step = given
            given = listing([account for account, _ in call][::step], code)
        if given == Reply():
            given = refuse(call, credential)
        return replace(given, latency=latency)

    return answer


def told(call: Started, account: str, tag: str) -> bool | int | str | None:
    """What a call said of the tag: True when it was removed, a code, None when it was not in it."""
    if tag not in dict(call.users).get(account, ()):
        return None
    error = call.reply.error or call.reply.failures.get(account)
    return error.code if error else True


def check_truth(tag: tuple[str, str], outcome: Outcome, scene: Scene, removal: Removal) -> None:
    said = [word for call in scene.started if (word := told(call, *tag)) is not None]
    came = [
        word
        for call in scene.started
        if call.ended <= scene.time.clock() and (word := told(call, *tag)) is not None
    ]
    match outcome.state:
        case "removed":
            assert came.count(True) == 1
            assert said[-1] is True, "nothing is sent again once it is done"
        case "rejected" if outcome == EXPIRED:
            assert removal.ledger.wanted[tag[0]][tag[1]] < scene.time.now()
        case "rejected":
            assert outcome.code in INPUT
            assert came[-1] == outcome.code
        case "retry":
            assert outcome.code in REASONS
            assert True not in came, "what is done does not return to the queue"


@given(
    script=scripts(),
    batches=st.lists(st.lists(documents, max_size=3), min_size=1, max_size=3),
    values=st.lists(secrets, min_size=1, max_size=3),
    share=st.sampled_from([1, 5, 25]),
    seconds=st.sampled_from([3.0, 5.0, 30.0, 110.0]),
    chance=st.sampled_from([0.0, 0.5, 0.99]),
)
def test_every_tag_ends_removed_dead_lettered_or_returned_and_that_is_the_truth(
    script: Script,
    batches: list[list[Document]],
    values: list[str],
    share: int,
    seconds: float,
    chance: float,
) -> None:
    scene = Scene(script, share, chance)
    for number, batch in enumerate(batches):
        scene.secrets.value = values[number % len(values)]
        removal = scene.invoke(batch, seconds)
        for account, tag, outcome in outcomes(removal):
            check_truth((account, tag), outcome, scene, removal)
