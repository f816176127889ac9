"""make audit, against a stand-in for the advisory service on this machine."""

import json
import re
import socket
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 180
ADVISORY = "PYSEC-0000-1"
ENVIRONMENTS = [
    *("layer", "dev", "ops", "sam", "ministack", "runtime", "checkov", "audit", "awscli", "uv")
]


@contextmanager
def advisories(vulnerable: str = "") -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """The service's URL, and each (package, version) it was asked for; one has an advisory."""
    asked: set[tuple[str, str]] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.add((name, query["version"]))
            data = json.dumps({"vulns": [advisory(name)]} if name == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
        server.shutdown()


def advisory(name: str) -> dict[str, Any]:
    """One of every version of a package."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    return {
        "id": ADVISORY,
        "summary": "made up",
        "modified": "2026-01-01T00:00:00Z",
        "affected": [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}],
    }


def audit(url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "audit", f"OSV_URL={url}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def pins(path: str) -> set[tuple[str, str]]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.slow
def test_asks_for_every_environment_and_passes_without_an_advisory() -> None:
    with advisories() as (url, asked):
        done = audit(url)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+):$", done.stdout, re.MULTILINE) == ENVIRONMENTS
    layer = pins("layers/timpush/requirements.txt")
    assert len(layer) > 2
    assert asked >= layer | pins(".ci/uv-requirements.txt")
    tools = {"aws-sam-cli", "awslambdaric", "checkov", "ministack", "pip-audit", "pytest"}
    assert {name for name, _ in asked} >= tools


@pytest.mark.slow
def test_fails_at_an_advisory_and_names_it() -> None:
    with advisories(vulnerable="urllib3") as (url, _):
        done = audit(url)
    assert done.returncode != 0
    assert ADVISORY in done.stdout
    assert "ADVISORY: a package of layer" in done.stderr
    assert "NO ANSWER" not in done.stderr


@pytest.mark.slow
def test_fails_when_the_service_cannot_be_reached() -> None:
    with socket.socket() as bound:  # bound and not listening: nothing else gets the port
        bound.bind(("127.0.0.1", 0))
        done = audit(f"http://127.0.0.1:{bound.getsockname()[1]}/v1/query")
    assert done.returncode != 0
    assert "NO ANSWER: the packages of layer were not looked up" in done.stderr
    assert "ADVISORY" not in done.stderr
    assert "Traceback" not in done.stderr


def test_environments_are_the_groups_of_the_lock_file() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(groups["dependency-groups"]) == set(ENVIRONMENTS) - {"layer"}
