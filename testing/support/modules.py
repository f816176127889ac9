"""Runs the programs of the repository (`python -m MODULE`) as processes of their own."""

import os
import subprocess
import sys

from template.translate import ROOT


def import_paths() -> dict[str, str]:
    """The variable by which another Python imports what this one does."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run_module(
    module: str, *arguments: object, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run a module to its end, in the repository, and keep what it prints."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | import_paths(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
