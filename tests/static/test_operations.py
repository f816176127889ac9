"""docs/operations.md says of metrics, money, capacity and outputs what template and code say."""

import re

import pytest

from benchmarks.cost import Duration, function_terms, worker_memory_gb
from support.environment import worker_environment
from template.reading import allowed, of_type
from template.translate import ROOT, Template
from template.watching import alarms
from timpush.metrics import ENDPOINT, JOBS, ROTATION, WORKER
from timpush.settings import Settings, read_settings

TEXT = (ROOT / "docs/operations.md").read_text()
CALL_USERS = 100
USED = 0.95
METRIC_CENTS = 30
"""Of the rotation, which reports on a stack at rest too."""
BACKLOGS = (100_000, 1_000_000, 10_000_000)


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    section = re.split(r"^##", TEXT.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    assert len(rows) > 2
    return [[cell.strip() for cell in re.split(r" ?\| ?", row)] for row in rows[2:]]


def worker_settings(translated: Template, **parameters: int) -> Settings:
    """The worker's settings of a stack with these parameters; the others have their defaults."""
    value = {name: one["Default"] for name, one in translated["Parameters"].items()} | parameters
    return read_settings(
        worker_environment(
            TIMPUSH_CALLS_PER_SECOND=None,
            APP_CALLS_PER_SECOND=value["AppCallsPerSecond"],
            API_CALLS_PER_SECOND=value["ApiCallsPerSecond"],
            WORKER_CONCURRENCY=value["WorkerConcurrency"],
        )
    )


def test_the_capacity_is_what_the_budget_gives(translated: Template) -> None:
    rows = [
        [int(cell.removesuffix(" s").replace(",", "")) for cell in r] for r in table("Capacity")
    ]
    assert {row[1] for row in rows} == set(allowed(translated, "ApiCallsPerSecond"))
    for app, api, calls, users, *seconds in rows:
        settings = worker_settings(translated, AppCallsPerSecond=app, ApiCallsPerSecond=api)
        assert calls == settings.share * settings.concurrency
        assert users == round(calls * CALL_USERS * USED)
        assert seconds == [round(backlog / users) for backlog in BACKLOGS]


def test_the_monthly_cost_counts_what_there_is(translated: Template, monitoring: Template) -> None:
    by_condition = [one.get("Condition") for one in alarms(monitoring).values()]
    assert set(ROTATION) <= set(WORKER)  # the same series: the same service and name
    expected = {
        "metrics of the worker and the rotation": len(WORKER),
        "metrics of the endpoint": len(ENDPOINT),
        "metrics of jobs": len(JOBS),
        "alarms": by_condition.count(None),
        "alarm on the budget, with `WatchBudget`": by_condition.count("HasBudgetAlarm"),
        "alarms of the endpoint": by_condition.count("HasApi"),
        "alarm on errors of the rotation": by_condition.count("HasSigningKey"),
        "alarm on a missing rotation": by_condition.count("HasRotationSchedule"),
        "dashboard": len(of_type(monitoring, "AWS::CloudWatch::Dashboard")),
        "KMS key of the alarms' topic, with `AlarmEmail`": len(
            of_type(monitoring, "AWS::KMS::Key")
        ),
        "secret of the UserSig": len(of_type(translated, "AWS::SecretsManager::Secret")),
        "secret of the key, with `SigningKeySecretArn`": 1,  # of the user's own
    }
    rows = table("A month")
    assert {what: int(count) for what, count, _, _ in rows} == expected
    for _, count, each, month in rows:
        assert int(count) * cents(each) == cents(month)


def test_the_cost_of_a_million_users_is_what_its_formulas_give(translated: Template) -> None:
    share = worker_settings(translated).share
    assert (share, worker_memory_gb()) == (26, 0.5)
    rows = table("A million users")
    assert [row[0] for row in rows] == ["1", "10", "100"]
    for row in rows:
        users, messages, calls = map(number, row[:3])
        assert calls == users * messages / CALL_USERS
        seconds = (calls + 1) / share + 0.1
        terms = function_terms(users, Duration(messages, seconds), worker_memory_gb())
        dollars = (terms.sqs, terms.requests, terms.gb_seconds, terms.total)
        assert row[3:] == [f"{seconds:.2f}", *(f"{one:.4f}" for one in dollars)]


def test_the_cost_by_size_is_made_of_these_figures() -> None:
    """docs/aws.md: a month at rest, and of users in messages of 100, of one, and in a file."""
    one, _, hundred = (float(row[-1]) for row in table("A million users"))
    jobs = (ROOT / "docs/jobs.md").read_text()
    [job] = re.findall(r"^\| In all \| \| (.+) \|$", jobs, re.MULTILINE)
    rest = sum(cents(row[3]) for row in table("A month") if not row[0].startswith("metrics"))
    document = (ROOT / "docs/aws.md").read_text()
    sizes = (10_000, 1_000_000, 100_000_000)
    each = [
        [f"${a_million * size / 1e6:.2f}" for a_million in (hundred, one, float(job))]
        for size in sizes
    ]
    rows = [["at rest", *[f"${(rest + METRIC_CENTS) / 100:.2f}"] * 3]]
    rows += [[f"{size:,}", *costs] for size, costs in zip(sizes, each, strict=True)]
    for row in rows:
        assert f"| {' | '.join(row)} |" in document
    others = sum(cents(row[3]) for row in table("A month") if row[0].startswith("metrics"))
    assert f"at most ${(others - METRIC_CENTS) / 100:.2f} for a stack" in document
    alarms_cents = sum(cents(row[3]) for row in table("A month") if row[0].startswith("alarm"))
    assert f"alarms ${alarms_cents / 100:.2f}," in document


def number(cell: str) -> int:
    return int(cell.removesuffix(" s").replace(",", ""))


def cents(price: str) -> int:
    return round(float(price.removeprefix("$")) * 100)


@pytest.mark.parametrize("document", ["operations.md", "usersig.md"])
def test_each_output_that_it_names_exists(written: Template, document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    named = {
        name
        for listed in re.findall(r"outputs? (`\w+`(?:, `\w+`)*)", text)
        for name in re.findall(r"\w+", listed)
    }
    assert named
    assert named <= set(written["Outputs"])


def test_each_saved_query_is_described(monitoring: Template) -> None:
    queries = of_type(monitoring, "AWS::Logs::QueryDefinition").values()
    names = {one["Properties"]["Name"]["Fn::Sub"] for one in queries}
    assert names == {f"${{ServiceName}}/{row[0]}" for row in table("Saved queries")}
    assert all(one["Condition"] == "HasSavedQueries" for one in queries)
