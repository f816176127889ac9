"""The SAM templates as CloudFormation gets them, and what cfn-lint finds in that.

As a program: translates each template, lints the results, prints each finding, ends with 1 if any.
A folder as its argument: the translated templates are written there, as JSON.
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
TEMPLATES = {
    "template": ROOT / "template.yaml",
    "jobs": ROOT / "jobs/template.yaml",
    "monitoring": ROOT / "monitoring/template.yaml",
}
"""What runs, and the nested applications: jobs, and what watches."""
PACKAGED = {
    "CodeUri": "s3://bucket/key",
    "ContentUri": "s3://bucket/key",
    "Location": "https://s3.amazonaws.com/bucket/key",
    "Code": {"S3Bucket": "bucket", "S3Key": "key"},
}
"""What `sam package` puts in the place of a path on this machine."""
REGION = "us-east-1"

Template = dict[str, Any]


def load(path: Path = TEMPLATES["template"]) -> Template:
    """A template as written, short forms such as !Ref in their long form."""
    template, faults = decode(str(path))
    if faults:
        raise ValueError(f"{path.name}: {faults[0]}")
    return cast(Template, json.loads(json.dumps(template)))


def translate(template: Template, folder: Path = ROOT) -> Template:
    """What CloudFormation makes of a template, as if packaged; reads nothing of AWS.

    `folder`: where the template is, which its paths start from.
    """
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        if "DefinitionS3Location" in resource.get("Properties", {}):
            path = folder / resource["Properties"].pop("DefinitionS3Location")
            text = path.read_text(encoding="utf-8").replace("${Partition}", "aws")
            resource["Properties"]["Definition"] = json.loads(text)
        for name in PACKAGED.keys() & resource.get("Properties", {}).keys():
            resource["Properties"][name] = PACKAGED[name]
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    # No managed policy is known here: a template that names one does not translate.
    return cast(Template, translator.translate(packaged, {}, get_managed_policy_map=dict))


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
    results = {name: translate(load(path), path.parent) for name, path in TEMPLATES.items()}
    for argument in sys.argv[1:]:
        for name, result in results.items():
            write(result, Path(argument, f"{name}.json"))
    findings = [f"{name}: {one}" for name, result in results.items() for one in lint(result)]
    print("\n".join(findings) or "The translated templates are clean.")
    sys.exit(bool(findings))
