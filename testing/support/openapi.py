"""docs/openapi.yaml, and what of a reply or a value breaks it."""

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from support.api import Reply

DOCUMENT = Path(__file__).parents[2] / "docs/openapi.yaml"
SPEC: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
REGISTRY = Registry().with_resource("urn:spec", DRAFT202012.create_resource(SPEC))


def conforms(value: Any, *path: str) -> list[str]:
    """What of a value breaks the schema that stands at this place of the document."""
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
    validator = Draft202012Validator({"$ref": f"urn:spec#/{pointer}"}, registry=REGISTRY)
    return [error.message for error in validator.iter_errors(value)]


def response_at(path: str, method: str, status: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A response that the document describes, and the place where it stands."""
    found = SPEC["paths"][path][method]["responses"][status]
    place: tuple[str, ...] = ("paths", path, method, "responses", status)
    if "$ref" in found:
        place = tuple(found["$ref"].removeprefix("#/").split("/"))
        found = SPEC[place[0]][place[1]][place[2]]
    return found, place


def check(reply: Reply, path: str, method: str) -> None:
    """The reply is one that the document describes."""
    described, place = response_at(path, method, str(reply.status))
    media_type = reply.headers["content-type"]
    assert media_type in described["content"]
    assert conforms(reply.content, *place, "content", media_type, "schema") == []
    headers = {name.lower(): one for name, one in described.get("headers", {}).items()}
    assert set(reply.headers) - {"content-type"} <= set(headers)
    for name, one in headers.items():
        assert name in reply.headers or not one["required"]
        if name in reply.headers:
            assert Draft202012Validator(one["schema"]).is_valid(reply.headers[name])


def wrong_examples(path: str, method: str) -> list[str]:
    """What of the examples of an operation's replies breaks their own schemas."""
    wrong: list[str] = []
    for status in SPEC["paths"][path][method]["responses"]:
        described, place = response_at(path, method, status)
        for media_type, content in described["content"].items():
            assert content["examples"], (path, method, status)
            for name, example in content["examples"].items():
                faults = conforms(example["value"], *place, "content", media_type, "schema")
                wrong += [f"{status} {name}: {fault}" for fault in faults]
    return wrong
