"""What the figures were measured on."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.packages import runtime_packages
from local.emulator import ROOT

OF_THE_APPLICATION = ("aws-lambda-powertools", "urllib3", "boto3", "botocore")
OF_THE_RUNTIME = ("awslambdaric", "boto3", "botocore")


def describe() -> list[tuple[str, str]]:
    """Name and value of each property."""
    return [
        ("processor", processor()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        ("memory", f"{memory_bytes() / 2**30:.1f} GiB"),
        ("load before the run", f"{os.getloadavg()[0]:.2f}"),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", platform.python_version()),
        ("packages", versions(OF_THE_APPLICATION, [])),
        ("packages of the runtime", versions(OF_THE_RUNTIME, [str(runtime_packages())])),
        ("packages of the emulators", f"{sam_version()}, {ministack_version()}"),
    ]


def processor() -> str:
    """The model's name, or the architecture where Linux tells none."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def versions(names: tuple[str, ...], path: list[str]) -> str:
    """Names and versions of packages that are on a path, the program's own when empty."""
    here = metadata.distributions(path=path or sys.path)
    found = {one.name.replace("_", "-").lower(): one.version for one in here}
    return ", ".join(f"{name} {found[name]}" for name in names)


def sam_version() -> str:
    return versions(("aws-sam-cli",), site_packages("sam"))


def ministack_version() -> str:
    return versions(("ministack",), site_packages("ministack"))


def site_packages(tool: str) -> list[str]:
    return [str(path) for path in (ROOT / ".tools" / tool).glob("lib/python*/site-packages")]
