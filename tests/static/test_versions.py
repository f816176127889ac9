"""pyproject.toml says which version this is; whatever else says so says the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from template.translate import load

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return found


def application() -> dict[str, str]:
    found: dict[str, str] = load()["Metadata"]["AWS::ServerlessRepo::Application"]
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


def test_the_template_and_the_lock_file_have_this_version() -> None:
    (locked,) = (
        package
        for package in tomllib.loads(read("uv.lock"))["package"]
        if package["source"] == {"virtual": "."}
    )
    assert application()["SemanticVersion"] == locked["version"] == project()["version"]


def test_the_template_and_the_project_name_the_same_thing_and_licence() -> None:
    assert application()["Name"] == project()["name"]
    assert application()["SpdxLicenseId"] == project()["license"] == "Apache-2.0"
    assert [application()["LicenseUrl"]] == project()["license-files"]
    assert application()["ReadmeUrl"] == project()["readme"]
    assert "Apache License\n                           Version 2.0" in read("LICENSE")
    assert "APPENDIX: How to apply the Apache License to your work." in read("LICENSE")


def test_the_application_is_as_the_serverless_application_repository_wants_it() -> None:
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9])*", application()["Author"])
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", application()["Name"])
    assert len(application()["Description"]) <= 256


def test_the_endpoints_interface_has_the_version_of_its_path() -> None:
    document = yaml.safe_load(read("docs/openapi.yaml"))
    major = document["info"]["version"].partition(".")[0]
    assert all(path.startswith(f"/v{major}/") for path in document["paths"])
