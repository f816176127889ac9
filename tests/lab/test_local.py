"""What the local run prints, and how the set-up that is left running treats users."""

import io
import re
import subprocess
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from local import screen, stay, summary
from local.job import JobDone
from local.run import Local
from local.workload import make_workload
from timpush_server import TimPushServer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job_of(users: int) -> JobDone:
    """A job in which one user was unknown."""
    unknown = Counter([("user", "gold", "70107", "2")])
    return JobDone(users, unknown, {"Removed": users - 1, "NotRemoved": 1}, 4.5)


def on_a_terminal() -> str:
    """What a terminal shows of the summary."""
    with redirect_stdout(Terminal()) as terminal:
        summary.summarize(make_workload(100), 3, 1.0, job_of(100), [])
    return terminal.getvalue()


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mok\x1b[0m" in on_a_terminal()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_none_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert "\x1b[32m" not in on_a_terminal()


def test_a_pipe_gets_plain_aligned_lines_and_no_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.status("half done")
    summary.summarize(make_workload(1_000), 11, 2.5, job_of(7_531), [])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "half done" not in out
    work = make_workload(1_000)
    figures = {len(work.bodies), sum(map(len, work.removed.values()))}
    assert all(f"{number:,}" in out for number in figures)
    [users] = [line for line in out.splitlines() if line.startswith("  users  ")]
    total, *parts = (int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*", users))
    assert (total, len(parts)) == (sum(parts), 3)
    rows = re.findall(r"^  (\w.*?)  +([\d,.]+|yes)  ", out.partition("Figures")[2], re.MULTILINE)
    assert (
        "A job removed the tags of 7,530 of the file's 7,531 users; its report names the other 1"
        in " ".join(out.split())
    )
    assert len(rows) == 8
    assert rows[-1] == ("every user accounted for", "yes")
    ends = re.findall(r"^(  \w.*?  +(?:[\d,.]+|yes))  ", out.partition("Figures")[2], re.MULTILINE)
    assert len(set(map(len, ends))) == 1


def test_a_fault_is_named_and_nothing_is_called_proven(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["user-000001: has ['x'], should have []"]
    summary.summarize(make_workload(100), 3, 1.0, JobDone(100, Counter()), faults)
    out = capsys.readouterr().out
    assert "user-000001" in out
    assert "What was proven" not in out
    assert re.search(r"every user accounted for +no ", out)


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert screen.bar(99, 100).endswith(".]")
    assert "." not in screen.bar(100, 100)
    assert "." not in screen.bar(0, 0)


def test_any_user_is_known_but_a_few_to_the_set_up_that_stays(tmp_path: Path) -> None:
    with TimPushServer() as timpush:
        local = Local("http://127.0.0.1:1", tmp_path, {}, timpush)
        stay.make_users(local, 3)
        assert set(timpush.tags) == {"user-1", "user-2", "user-3"}
        assert timpush.knows_everyone
        assert timpush.account_codes["unknown-1"] == 70107
        assert timpush.refused_tags == {"refused-tag": 90034}


def test_the_variables_can_be_sourced_whatever_they_hold(tmp_path: Path) -> None:
    with TimPushServer() as timpush:
        outputs = {"ApiId": "a", "QueueUrl": "http://q/a b;$x'", "DeadLetterQueueUrl": "http://d"}
        local = Local("http://127.0.0.1:1", tmp_path, outputs, timpush)
        stay.write_variables(local, tmp_path / "local.env")
        shown = stay.text(local, 3, "http://127.0.0.1:1/")
    script = (
        f'. "{tmp_path}/local.env"; printf %s "$QUEUE_URL"; echo "${{AWS_PROFILE-none}} $no_proxy"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={"AWS_PROFILE": "mine", "NO_PROXY": "a.example"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "http://q/a b;$x'none a.example,127.0.0.1,localhost\n"
    commands = [line for line in shown.splitlines() if line.startswith("  aws ")]
    assert commands
    assert all('--endpoint-url "$AWS_ENDPOINT_URL"' in command for command in commands)
    assert all(code in shown for code in ("unknown-1", "70107", "refused-tag", "90034"))
