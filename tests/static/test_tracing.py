"""Traces of the service alone: on for every function and the API, without an SDK."""

import re

from template.reading import as_list, of_type, statements
from template.translate import ROOT, Template

RIGHTS = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]


def test_every_function_is_traced_and_may_send_its_traces(application: Template) -> None:
    for name, function in of_type(application, "AWS::Lambda::Function").items():
        assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}, name
        role = application["Resources"][function["Properties"]["Role"]["Fn::GetAtt"][0]]
        assert "ManagedPolicyArns" not in role["Properties"]
        found = [one for one in statements(role) if one["Sid"] == "SendTraces"]
        assert [as_list(one["Action"]) for one in found] == [RIGHTS], name


def test_the_api_is_traced(translated: Template) -> None:
    for stage in of_type(translated, "AWS::ApiGateway::Stage").values():
        assert stage["Properties"]["TracingEnabled"] is True


def test_no_sdk_is_in_the_layer_and_none_is_imported() -> None:
    """An SDK would write the URLs of calls, UserSig included, into the traces."""
    pinned = (ROOT / "layers/timpush/requirements.txt").read_text()
    assert "aws-lambda-powertools==" in pinned
    assert not re.search(r"xray|opentelemetry", pinned, re.IGNORECASE)
    code = [*ROOT.glob("functions/**/*.py"), *ROOT.glob("layers/timpush/timpush/**/*.py")]
    assert {"app.py", "client.py"} <= {path.name for path in code}
    for path in code:
        assert not re.search(r"xray|[Tt]racer", path.read_text()), path.name
