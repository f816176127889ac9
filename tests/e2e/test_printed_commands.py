"""The commands that `make local` prints, run as they stand, one section after the other."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from local import stay
from local.emulator import ROOT
from local.run import Local

pytestmark = pytest.mark.slow  # deploys a stack of its own

SECONDS = 120
AWS = 'aws() { "$ROOT/.tools/awscli/bin/aws" "$@"; }'


@pytest.fixture
def prepared(local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Local:
    """The stack with the users of `make local`, and the variables that it saves, for this test."""
    for name in ("knows_everyone", "tags", "account_codes", "refused_tags"):
        value = getattr(local.timpush, name)
        monkeypatch.setattr(local.timpush, name, value.copy() if hasattr(value, "copy") else value)
    monkeypatch.setattr(stay, "ENV_FILE", tmp_path / "local.env")
    stay.make_users(local, stay.USERS)
    stay.write_variables(local, stay.ENV_FILE)
    return local


def sections(text: str) -> dict[str, str]:
    """The headings of what is printed, and the commands below each."""
    found = re.findall(r"^(\S[^\n]*)\n((?:  [^\n]+\n)+)", text, re.MULTILINE)
    return {heading: commands for heading, commands in found if heading != "Running"}


def test_each_shows_what_it_says(
    prepared: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    before = set(ROOT.iterdir())
    source, message, request, operate = sections(
        stay.text(prepared, stay.USERS, "http://127.0.0.1:1/")
    ).values()

    def run(commands: str) -> str:
        environment = os.environ | {"ROOT": str(ROOT), "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            ["bash", "-c", f"{AWS}\nset -eo pipefail\n{source}{commands}"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown = run(message)
    assert "70107" in shown
    assert shown.endswith('"user-1": ["silver", "week-pass"]\n')
    assert run(request).endswith("}\n")
    assert prepared.timpush.tags["user-2"] == {"week-pass"}
    shown = run(operate)
    assert "removed       2\n" in shown
    assert "70107" in shown
    assert set(ROOT.iterdir()) == before
