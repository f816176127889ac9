"""The built function under Lambda's Runtime Interface Emulator, on free ports of 127.0.0.1.

The emulator starts the Python runtime (awslambdaric), keeps the function's timeout, ends a runtime
that does not answer in time and starts a new one after a crash. One invocation at a time.
"""

import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from local.emulator import ROOT
from reliability.event_source import kept
from reliability.processes import end

BUILD = ROOT / ".aws-sam/build"
LAYER = BUILD / "TimpushLayer/python"
PYTHON = ROOT / ".tools/runtime/bin/python"
START_SECONDS = 30.0
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Runtime:
    """A function under the emulator."""

    url: str
    process: "subprocess.Popen[bytes]"

    def invoke(self, event: dict[str, Any], seconds: float = 60.0) -> Any:
        """What an invocation gives: the decoded reply, or the text of an error."""
        reply = urllib3.request(
            "POST",
            f"{self.url}/2015-03-31/functions/function/invocations",
            body=json.dumps(event).encode(),
            timeout=seconds,
            retries=False,
        )
        try:
            return reply.json()
        except ValueError:
            return reply.data.decode()

    def stays(self, event: dict[str, Any]) -> tuple[set[str], Any]:
        """Invoke, and the ids of the messages that stay on the queue; the reply too."""
        reply = self.invoke(event)
        return kept(reply, {one["messageId"] for one in event["Records"]}), reply

    def pids(self) -> list[int]:
        """The process of the runtime, if there is one now."""
        numbers = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
        return [pid for pid in numbers if parent_of(pid) == self.process.pid]


def parent_of(pid: int) -> int | None:
    """The parent of a process; None when the process is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[1])
    return None


def emulator() -> Path | None:
    """The emulator's program; None on a machine for which the SAM CLI brings none."""
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURES:
        return None
    name = f"aws-lambda-rie-{ARCHITECTURES[platform.machine()]}"
    found = list((ROOT / ".tools/sam").glob(f"lib/python*/site-packages/samcli/local/rapid/{name}"))
    return found[0] if found else None


@contextmanager
def running(
    function: str,
    variables: Mapping[str, str],
    timeout: int,
    log: Path,
    layers: Sequence[Path] = (LAYER,),
) -> Iterator[Runtime]:
    """Run a built function with these variables and timeout (seconds).

    `function` is its logical id, or the path of any other folder with an `app.py` in a package.

    Raises:
        RuntimeError: the emulator did not start.
    """
    program = emulator()
    assert program
    ports = free_ports()
    environment = dict(variables) | {
        "PATH": os.environ["PATH"],
        # As in Lambda: the function's folder, the layer, what the runtime brings.
        "PYTHONPATH": os.pathsep.join(map(str, (BUILD / function, *layers))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(BUILD / function),
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    }
    addresses = [f"127.0.0.1:{port}" for port in ports]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                program,
                *("--runtime-interface-emulator-address", addresses[0]),
                *("--runtime-api-address", addresses[1]),
                *(PYTHON, "-m", "awslambdaric", handler(BUILD / function)),
            ],
            cwd=BUILD / function,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    runtime = Runtime(f"http://{addresses[0]}", process)
    try:
        await_port(process, ports[0], log)
        yield runtime
    finally:
        left = runtime.pids()
        end(process)
        for pid in left:  # the emulator ends it, unless it was stopped
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def handler(folder: Path) -> str:
    """The handler in a built function: `PACKAGE.app.lambda_handler`, as the template names it."""
    (app,) = folder.glob("*/app.py")
    return f"{app.parent.name}.app.lambda_handler"


def free_ports() -> tuple[int, int]:
    """Two ports that are free now."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def await_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until the emulator listens."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the emulator did not start:\n{log.read_text(errors='replace')[-2000:]}")
