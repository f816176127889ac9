"""The SAM template as CloudFormation gets it, and what cfn-lint finds in that.

As a program: translates template.yaml, lints the result, prints each finding, ends with 1 if any.
A path as its argument: the translated template is written there, as JSON.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any, cast

import boto3
from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs
from cfnlint.decode import decode
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"

Template = dict[str, Any]


def load(path: Path = ROOT / "template.yaml") -> Template:
    """The template as written, short forms such as !Ref in their long form."""
    template, faults = decode(str(path))
    if faults:
        raise ValueError(f"{path.name}: {faults[0]}")
    return cast(Template, json.loads(json.dumps(template)))


def translate(template: Template) -> Template:
    """What CloudFormation makes of a SAM template, as if packaged; reads nothing of AWS."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = "s3://bucket/key"
        if "DefinitionUri" in resource.get("Properties", {}):
            path = ROOT / resource["Properties"].pop("DefinitionUri")
            resource["Properties"]["Definition"] = json.loads(path.read_text())
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    # No managed policy is known here: a template that names one does not translate.
    translated = cast(Template, translator.translate(packaged, {}, get_managed_policy_map=dict))
    _hand_on_metadata(template, translated)
    return translated


def _hand_on_metadata(written: Template, translated: Template) -> None:
    """Give each stage its API's metadata: SAM makes the stage of the API, and leaves them behind.

    The checks that an API skips are checks of its stage.
    """
    for resource in translated["Resources"].values():
        if resource["Type"] == "AWS::ApiGateway::Stage":
            api = written["Resources"][resource["Properties"]["RestApiId"]["Ref"]]
            resource["Metadata"] = copy.deepcopy(api.get("Metadata", {}))


def write(translated: Template, path: Path) -> None:
    """Write a template as JSON, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(translated, indent=1), encoding="utf-8")


def lint(translated: Template) -> list[str]:
    """Each finding of cfn-lint, of every level, as `ID path: text`."""
    config = ManualArgs(include_checks=["I"], regions=[REGION])
    found = cfn_lint(json.dumps(translated), config=config)
    return [f"{one.rule.id} {'/'.join(map(str, one.path))}: {one.message}" for one in found]


if __name__ == "__main__":
    result = translate(load())
    for argument in sys.argv[1:]:
        write(result, Path(argument))
    findings = lint(result)
    print("\n".join(findings) or "The translated template is clean.")
    sys.exit(bool(findings))
