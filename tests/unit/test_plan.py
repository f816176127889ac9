"""The decisions, asked with plain values: no thread, no server, no clock."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timpush.errors import (
    CallError,
    InputError,
    SecretError,
    TransientError,
    UnknownError,
)
from timpush.outcomes import Ledger, Wanted
from timpush.removal.backlog import Backlog, Call
from timpush.removal.health import Health
from timpush.removal.pace import Now, Pace
from timpush.removal.plan import Plan, ReadSecret, StartAt, Stop, Wait
from timpush.removal.results import Results
from timpush.removal.signing import REFUSED_SECONDS, REREAD_SECONDS, Signing, Standing
from timpush.removal.verdict import halves, judge, outcome_of
from timpush.tencent.codes import call_error
from timpush.tencent.credentials import Credential

UNIX = 1_800_000_000.0
SHARE = 10
LAST_START = 100.0
GOOD = Credential(1, "administrator", "good", int(UNIX) + 86_400)
OTHER = Credential(1, "administrator", "other", int(UNIX) + 86_400)


def at(clock: float) -> Now:
    return Now(clock, UNIX + clock)


def want(users: int, until: float = math.inf) -> Wanted:
    return {f"user-{number}": {"tag": until} for number in range(users)}


def make(wanted: Wanted, standing: Standing | None = None) -> tuple[Plan, Ledger]:
    ledger = Ledger(wanted)
    plan = Plan(
        Results(ledger),
        Pace(SHARE, 0.0),
        Signing(standing or Standing()),
        Health(),
        last_start=LAST_START,
        most_in_flight=35,
        now=at(0.0),
        random=lambda: 0.5,
    )
    return plan, ledger


def begin(plan: Plan, clock: float) -> Call:
    started = plan.start(at(clock))
    assert started
    plan.started(clock)
    return started[0]


def time_of(decision: object) -> float:
    assert isinstance(decision, StartAt)
    return decision.time


class TestNext:
    def test_reads_the_secret_then_starts_one_call_and_waits_for_what_it_says(self) -> None:
        plan, ledger = make(want(200))
        assert plan.next(at(0.0)) == ReadSecret("kept")
        plan.secret_read(GOOD, "kept", at(0.0))
        assert time_of(plan.next(at(0.0))) == pytest.approx(0.101)
        first = begin(plan, 0.2)
        assert plan.next(at(0.2)) == Wait(math.inf)
        plan.ended(first, {}, at(0.4))
        assert plan.next(at(0.4)) == StartAt(0.4)
        plan.ended(begin(plan, 0.4), {}, at(0.5))
        assert plan.next(at(0.5)) == Stop()
        assert ledger.removed() == 200

    def test_nothing_wanted_is_settled_without_reading_the_secret(self) -> None:
        plan, _ = make({})
        assert plan.next(at(0.0)) == Stop()

    def test_what_has_expired_is_settled_without_a_call(self) -> None:
        plan, ledger = make(want(3, until=UNIX - 1))
        assert plan.next(at(0.0)) == Stop()
        assert {outcome.code for _, _, outcome in ledger.outcomes([("user-0", ["tag"])])} == {
            "Expired"
        }

    def test_after_the_last_start_there_is_none_and_no_look_at_the_secret(self) -> None:
        plan, _ = make(want(1))
        assert plan.next(at(LAST_START + 0.1)) == Stop("deadline", "no time was left to call")

    @given(st.lists(st.sampled_from(["ok", 91000, 60011, 70009, 60026, 90034, 99999]), max_size=8))
    def test_asking_changes_nothing(self, codes: list[Any]) -> None:
        plan, _ = make(want(300))
        clock = 1.0
        plan.secret_read(GOOD, "kept", at(clock))
        for code in codes:
            clock += 30
            answers = {repr(plan.next(at(clock))) for _ in range(3)}
            assert len(answers) == 1
            plan.next(at(clock + 1_000))
            assert repr(plan.next(at(clock))) in answers
            startable = isinstance(plan.next(at(clock)), StartAt)
            if startable and (started := plan.start(at(clock))):
                plan.ended(started[0], {} if code == "ok" else call_error(code, ""), at(clock + 1))


class TestHolding:
    def test_a_failure_before_any_success_is_probed_after_a_second(self) -> None:
        plan, _ = make(want(200))
        plan.secret_read(GOOD, "kept", at(0.0))
        plan.ended(begin(plan, 0.2), TransientError("HTTP502", ""), at(0.5))
        assert time_of(plan.next(at(0.5))) == pytest.approx(1.5)
        plan.ended(begin(plan, 1.5), TransientError("HTTP502", ""), at(2.0))
        assert time_of(plan.next(at(2.0))) == pytest.approx(4.0)

    def test_the_reason_is_that_of_the_trouble_when_time_is_up(self) -> None:
        plan, _ = make(want(200))
        plan.secret_read(GOOD, "kept", at(99.0))
        plan.ended(begin(plan, 99.0), TransientError("HTTP502", "no"), at(99.5))
        assert plan.next(at(99.6)) == Wait(LAST_START)
        assert plan.next(at(LAST_START)) == Stop("down", "HTTP502: no")


class TestSigning:
    def sign(self, standing: Standing, credential: Credential = GOOD) -> Signing:
        signing = Signing(standing)
        signing.take(credential, "kept", at(0.0))
        return signing

    def test_a_usersig_that_worked_is_doubted_first_and_refused_then(self) -> None:
        standing = Standing(proven=GOOD)
        signing = self.sign(standing)
        signing.refuse(call_error(70009, ""), at(1.0))
        assert signing.must_read(at(1.0)) == "fresh"
        signing.take(GOOD, "fresh", at(1.0))
        assert (signing.send_at(at(1.0)), signing.proven, signing.fault) == (1.0, False, "")
        signing.refuse(call_error(70009, ""), at(2.0))
        assert signing.send_at(at(2.0)) == pytest.approx(2.0 + REFUSED_SECONDS)
        assert standing.refused == GOOD

    def test_one_that_never_worked_is_refused_at_once(self) -> None:
        signing = self.sign(Standing())
        signing.refuse(call_error(70009, "signed with another key"), at(1.0))
        assert "70009" in signing.fault
        assert signing.must_read(at(1.0)) == "fresh"

    def test_while_refused_the_secret_is_read_at_intervals_and_before_the_next_call(self) -> None:
        signing = self.sign(Standing(refused=GOOD, tried_at=UNIX))
        clock, read = 0.0, []
        while clock <= REFUSED_SECONDS:
            if signing.must_read(at(clock)):
                signing.take(GOOD, "fresh", at(clock))
                read.append(clock)
            clock += 0.5
        assert read == [0.0, *(REREAD_SECONDS * n for n in range(1, 5))]
        assert signing.send_at(at(clock)) == clock
        assert signing.must_read(at(clock + 0.001)) == "", "it was read right before"

    def test_a_clock_that_jumps_back_does_not_stop_it_for_good(self) -> None:
        signing = self.sign(Standing(refused=GOOD, tried_at=UNIX + 3_600))
        assert signing.must_read(at(1.0)) == "fresh"
        signing.take(GOOD, "fresh", at(1.0))
        assert signing.must_read(at(1.1)) == ""
        assert signing.send_at(at(1.1)) == 1.1

    def test_another_usersig_may_be_sent_at_once(self) -> None:
        signing = self.sign(Standing(refused=GOOD, tried_at=UNIX), OTHER)
        assert (signing.send_at(at(5.0)), signing.fault) == (5.0, "")
        assert signing.must_read(at(5.0)) == ""

    def test_an_expired_one_is_never_sent_but_re_read(self) -> None:
        old = Credential(1, "administrator", "old", int(UNIX) - 1)
        signing = self.sign(Standing(proven=old), old)
        assert signing.send_at(at(0.0)) == math.inf
        assert signing.must_read(at(0.0)) == "fresh"
        assert "expired" in signing.why_not(at(0.0))

    def test_without_a_secret_there_is_nothing_to_send(self) -> None:
        signing = Signing(Standing())
        signing.take(SecretError("cannot be read"), "kept", at(0.0))
        assert signing.send_at(at(0.0)) == math.inf
        assert signing.why_not(at(0.0)) == "cannot be read"
        assert signing.must_read(at(REREAD_SECONDS - 1)) == ""
        assert signing.must_read(at(REREAD_SECONDS)) == "fresh"


USERS = [("a", ["x", "y", "z"]), ("b", ["x"]), ("c", ["y"])]


class TestVerdict:
    def test_accounts_that_are_not_listed_succeeded(self) -> None:
        assert judge(USERS, {}).removed == USERS

    def test_each_listed_user_by_its_error(self) -> None:
        errors: dict[str, CallError] = {
            "a": InputError(90035, ""),
            "b": UnknownError(1, ""),
            "c": TransientError(91000, ""),
        }
        verdict = judge(USERS, errors)
        assert verdict.apart == [[("a", ["x", "y"])], [("a", ["z"])]]
        assert verdict.settled == [(("b", ["x"]), errors["b"])]
        assert verdict.again == [("c", ["y"])]
        assert verdict.removed == []

    @pytest.mark.parametrize("code", [90034, 99_999, 60002])
    def test_a_call_that_fails_for_a_user_is_halved(self, code: int) -> None:
        verdict = judge(USERS, call_error(code, ""))
        assert verdict.apart == [USERS[:2], USERS[2:]]

    @pytest.mark.parametrize("code", [91000, 60011, 70009, 60026])
    def test_a_call_that_fails_for_another_reason_is_not(self, code: int) -> None:
        verdict = judge(USERS, call_error(code, ""))
        assert (verdict.apart, verdict.settled) == ([], [])
        assert verdict.failed is not None

    @given(st.lists(st.integers(1, 10), min_size=1, max_size=100), st.booleans())
    def test_halves_hold_everything_once(self, sizes: list[int], split_tags: bool) -> None:
        users = [(f"u{n}", [f"t{m}" for m in range(size)]) for n, size in enumerate(sizes)]
        parts = halves(users, split_tags)
        pairs = [(a, tag) for part in parts for a, tags in part for tag in tags]
        assert parts == [] or sorted(pairs) == sorted((a, t) for a, tags in users for t in tags)
        assert bool(parts) == (len(users) > 1 or (split_tags and sizes[0] > 1))

    def test_only_input_errors_reject(self) -> None:
        codes = (90034, 91000, 60011, 70009, 60026, 99_999, 60002)
        states = [outcome_of(call_error(code, "")).state for code in codes]
        assert states == ["rejected", *["retry"] * 6]


class TestBacklog:
    def test_searches_and_fresh_calls_take_turns(self) -> None:
        backlog = Backlog([[("fresh", ["t"])]] * 3)
        for number in range(3):
            backlog.search(Call([(f"search-{number}", ["t"])], cause=UnknownError(1, "")))
        taken = [backlog.take(0.0, 100).users[0][0].partition("-")[0] for _ in range(6)]
        assert taken == ["search", "fresh"] * 3

    def test_a_retry_that_is_due_goes_first_and_one_that_is_not_waits(self) -> None:
        backlog = Backlog([[("fresh", ["t"])]])
        backlog.retry(Call([("later", ["t"])]), 9.0)
        backlog.retry(Call([("due", ["t"])]), 1.0)
        assert backlog.take(1.0, 100).users[0][0] == "due"
        assert backlog.take(1.0, 100).users[0][0] == "fresh"
        assert backlog.earliest(1.0) == 9.0

    def test_users_are_retried_together_as_far_as_they_fit(self) -> None:
        backlog = Backlog([])
        for number in range(150):
            backlog.retry_together(Call([(f"user-{number}", ["t"])], failures=1), 1.0)
        backlog.retry_together(Call([("user-149", ["u"])], failures=1), 1.0)
        sizes = [len(backlog.take(2.0, 100).users) for _ in range(3)]
        assert sizes == [100, 50, 1]
        assert not backlog

    def test_a_probe_takes_a_few_users_and_leaves_the_others(self) -> None:
        users = [(f"user-{number}", ["t"]) for number in range(100)]
        backlog = Backlog([users])
        probe, rest = backlog.take(0.0, 6), backlog.take(0.0, 100)
        assert len(probe.users) == 6
        assert sorted(probe.users + rest.users) == sorted(users)
