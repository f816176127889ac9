"""What is installed is named by version and hash, as the lock file has it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PINS = ("layers/timpush/requirements.txt", ".ci/uv-requirements.txt")


def locked() -> list[dict[str, Any]]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return [package for package in packages if package["source"] != {"virtual": "."}]


def hashes(package: dict[str, Any]) -> set[str]:
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    return {file["hash"] for file in files}


def test_each_locked_package_comes_from_pypi_with_a_hash_of_each_file() -> None:
    assert len(locked()) > 100
    for package in locked():
        assert package["source"] == {"registry": "https://pypi.org/simple"}
        assert hashes(package), package["name"]
        assert all(one.startswith("sha256:") for one in hashes(package))


@pytest.mark.parametrize("path", PINS)
def test_each_pin_has_the_version_and_the_hashes_of_the_lock_file(path: str) -> None:
    lock = {(package["name"], package["version"]): hashes(package) for package in locked()}
    text = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ")
    pins = [line.split() for line in text.splitlines() if line.strip()]
    assert pins
    for pin, *rest in pins:
        found = set(re.findall(r"--hash=(\S+)", " ".join(rest)))
        name, version = pin.split("==")
        assert found == lock[name, version]


@pytest.mark.parametrize("path", ["layers/timpush/Makefile", "Makefile"])
def test_pip_is_told_to_ask_for_hashes(path: str) -> None:
    recipes = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    installs = [line for line in recipes if re.search(r"-m pip install ", line)]
    assert installs
    assert all("--require-hashes" in line for line in installs)
