"""pyproject.toml says which version this is; whatever else says so says the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return found


def test_the_version_is_a_semantic_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", project()["version"])


def test_the_newest_release_in_the_changes_is_this_version() -> None:
    heads = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert heads[0] == "Unreleased"
    releases = [re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    found = [(release[1], release[2]) for release in releases if release]
    assert len(found) == len(heads) - 1 > 0
    assert found[0][0] == project()["version"]
    assert found == sorted(found, key=lambda release: release[1], reverse=True)


def test_the_lock_file_has_this_version() -> None:
    (locked,) = (
        package
        for package in tomllib.loads(read("uv.lock"))["package"]
        if package["source"] == {"virtual": "."}
    )
    assert locked["version"] == project()["version"]


def test_the_licence_is_the_one_that_the_project_names() -> None:
    assert (project()["license"], project()["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert "Apache License\n                           Version 2.0" in read("LICENSE")
    assert "APPENDIX: How to apply the Apache License to your work." in read("LICENSE")


def test_the_endpoints_interface_has_the_version_of_its_path() -> None:
    document = yaml.safe_load(read("docs/openapi.yaml"))
    major = document["info"]["version"].partition(".")[0]
    assert all(path.startswith(f"/v{major}/") for path in document["paths"])
