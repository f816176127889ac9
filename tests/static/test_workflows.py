"""Workflows and hooks run what there is, pinned, with no more rights than they need."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def is_pinned(line: str) -> bool:
    """Whether a `uses:` names a commit, and in a comment the version that it is."""
    return bool(re.fullmatch(r"\s*- uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line))


def runs(command: str) -> bool:
    """Whether what a command names exists: a script for bash, or targets of make."""
    match command.split():
        case ["bash", script, *parts]:
            return (ROOT / script).is_file() and set(parts) <= {"fast", "slow"}
        case ["make", *words]:
            targets = [word for word in words if not word.startswith("-")]
            known = [re.search(rf"^{re.escape(one)}:", MAKEFILE, re.MULTILINE) for one in targets]
            return bool(known) and all(known)
    return False


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values())


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} == {"audit.yml", "ci.yml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflow:
    def test_each_action_is_pinned(self, path: Path) -> None:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
        assert lines
        assert [line for line in lines if not is_pinned(line)] == []

    def test_each_command_exists(self, path: Path) -> None:
        steps = [step for job in jobs(path) for step in job["steps"]]
        commands = [line for step in steps for line in step.get("run", "").splitlines()]
        assert commands
        assert [command for command in commands if not runs(command)] == []

    def test_it_may_only_read(self, path: Path) -> None:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        assert all("permissions" not in job for job in jobs(path))
        assert "secrets." not in path.read_text(encoding="utf-8")

    def test_it_ends_and_gives_way(self, path: Path) -> None:
        assert all(job["timeout-minutes"] <= 60 for job in jobs(path))
        assert "concurrency" in yaml.safe_load(path.read_text(encoding="utf-8"))


def test_ci_has_the_time_that_its_script_may_take() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    minutes = sum(map(int, re.findall(r"timeout .* (\d+)m make", script)))
    assert 0 < minutes < 60
    for job in jobs(ROOT / ".github/workflows/ci.yml"):
        assert minutes < job["timeout-minutes"]


def test_ci_runs_each_part_of_its_script_in_a_job_of_its_own() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    targets = re.findall(r"timeout .* \d+m make (.+)", script)
    assert targets == ["setup", "check", "test", "test-slow"]
    commands = [
        step["run"]
        for job in jobs(ROOT / ".github/workflows/ci.yml")
        for step in job["steps"]
        if "run" in step
    ]
    assert commands == ["bash .ci/run fast", "bash .ci/run slow"]


@pytest.mark.parametrize("argument", ["quick", ""])
def test_another_part_is_refused(argument: str) -> None:
    done = subprocess.run(
        ["bash", ROOT / ".ci/run", argument], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"usage: .ci/run [fast|slow]\n"


def test_ci_runs_the_templates_python_and_the_oldest_that_there_may_be() -> None:
    fast, _ = jobs(ROOT / ".github/workflows/ci.yml")
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    runtime = re.search(r"Runtime: python([\d.]+)", (ROOT / "template.yaml").read_text())
    assert oldest
    assert runtime
    assert fast["strategy"]["matrix"]["python"] == [oldest[1], runtime[1]]


def test_each_hook_is_a_target_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"lint", "types", "template-check", "lock-check"}
    for hook in hooks:
        assert hook["language"] == "system"
        assert hook["entry"].split()[-1] == hook["id"]
        assert runs(hook["entry"])


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        ("      - uses: actions/checkout@" + "0a" * 20 + " # v4.2.2", True),
        ("      - uses: actions/checkout@" + "0a" * 20, False),
        ("      - uses: actions/checkout@v4", False),
        ("      - uses: actions/checkout@main # v4.2.2", False),
        ("      - uses: actions/checkout@" + "0a" * 19 + " # v4.2.2", False),
    ],
)
def test_only_a_whole_commit_counts_as_pinned(line: str, pinned: bool) -> None:
    assert is_pinned(line) is pinned


@pytest.mark.parametrize("command", ["make nothing", "make", "bash nothing", "curl example.com"])
def test_a_command_that_is_not_there_is_found(command: str) -> None:
    assert not runs(command)
