"""Starts and stops MiniStack, an AWS emulator that needs no Docker, on a free port of 127.0.0.1."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import urllib3

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".tools/ministack/bin/python"
REGION = "us-east-1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
HEALTH = "/_ministack/health"


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """The environment of a program that may reach the emulator and nothing else of AWS."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHONPATH"))}
    return mine | {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def emulator() -> Iterator[tuple[str, Path]]:
    """Run MiniStack for a while; yields its URL and its log, which holds what functions print.

    Raises:
        RuntimeError: it did not start; the text holds the end of its log.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with TemporaryDirectory(prefix="ministack-") as folder:
        log = Path(folder) / "log"
        environment = aws_environment(url) | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "LAMBDA_EXECUTOR": "local",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": folder,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PYTHON, "-m", "ministack"],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _await(process, url, log)
            yield url, log
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", url + HEALTH, timeout=2, retries=False).status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"MiniStack did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it and the functions it started: they are one process group."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
