"""What `sam build` makes runs with its layer and the runtime's boto3 alone."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from template.reading import functions, of_type
from template.translate import ROOT, TEMPLATES, Template, load

BUILD_SECONDS = 180
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")
"""What the Python runtime of Lambda has beside the standard library."""
FUNCTIONS = ("RemoveTagsWorker", "RemoveTagsEndpoint", "RotateUserSig")
COMPILED = {".so", ".pyd", ".dylib"}
UNCHECKED_HASH = b"\x01\x00\x00\x00"
"""The flags of bytecode that holds without a look at its source (PEP 552)."""

# Started without site-packages and without the environment: the arguments are all there is.
PROBE = """
import importlib, json, pathlib, sys
sys.path[:0] = sys.argv[1:]
(path,) = pathlib.Path(sys.argv[1]).glob("*/app.py")
app = importlib.import_module(f"{path.parent.name}.app")
modules = {name: getattr(sys.modules[name], "__file__", None) for name in list(sys.modules)}
print(json.dumps({"handler": callable(app.lambda_handler), "modules": modules}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the build; made with sam, make and pip, and no Python of the template's."""
    folder = tmp_path_factory.mktemp("build")
    make = shutil.which("make")
    assert make
    environment = {
        "PATH": os.pathsep.join([str(ROOT / ".tools/uv/bin"), str(Path(make).parent), "/bin"]),
        "HOME": str(folder),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    # Where packages come from is the machine's to say.
    environment |= {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    done = subprocess.run(
        [ROOT / ".tools/sam/bin/sam", "build", "--build-dir", folder / "build"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder / "build"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds only what the runtime of Lambda brings."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME:
        (folder / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    return folder


def test_every_function_and_the_layer_are_built(
    built: Path, written: Template, written_jobs: Template
) -> None:
    assert set(functions(written)) == set(FUNCTIONS)
    steps = {path.name for path in (built / "Jobs").iterdir() if path.is_dir()}
    assert steps == set(functions(written_jobs))
    layers = of_type(written, "AWS::Serverless::LayerVersion")
    folders = {path.name for path in built.iterdir() if path.is_dir()}
    nested = of_type(written, "AWS::Serverless::Application")
    assert folders == {*FUNCTIONS, *layers, *nested}


def test_layer_holds_no_compiled_code_and_nothing_of_the_building_machine(built: Path) -> None:
    files = [path for path in (built / "TimpushLayer").rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if path.suffix in COMPILED] == []
    assert [path for path in files if path.parent.name == "bin"] == []


def test_layer_holds_bytecode_of_all_its_code_if_made_with_the_runtimes_python(
    built: Path,
) -> None:
    """Without such a Python it holds none: bytecode of another version is of no use."""
    folder = built / "TimpushLayer/python"
    code = list(folder.rglob("*.py"))
    every = {path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in code}
    assert len(every) > 100
    found = set(folder.rglob("*.pyc"))
    assert found == every or (not found and sys.version_info[:2] != (3, 13))


def test_bytecode_counts_without_its_source_and_names_its_place_in_lambda(built: Path) -> None:
    for path in (built / "TimpushLayer").rglob("*.pyc"):
        data = path.read_bytes()
        assert data[4:8] == UNCHECKED_HASH, path
        assert b"/opt/python/" in data, path
        assert str(built).encode() not in data, path


def test_layer_holds_the_package_whole(built: Path) -> None:
    package = ROOT / "layers/timpush/timpush"
    expected = {path.relative_to(package) for path in package.rglob("*.py")}
    layer = built / "TimpushLayer/python/timpush"
    files = {path for path in layer.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(layer) for path in files} == expected


def test_layer_holds_exactly_what_is_pinned(built: Path) -> None:
    pinned = re.findall(
        r"^([a-z0-9-]+)==(\S+)",
        (ROOT / "layers/timpush/requirements.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = importlib.metadata.distributions(path=[str(built / "TimpushLayer/python")])
    assert {(one.name.replace("_", "-").lower(), one.version) for one in found} == set(pinned)


@pytest.mark.parametrize(("template", "folder"), [("template", ""), ("jobs", "Jobs")])
def test_functions_hold_their_own_code_alone(built: Path, template: str, folder: str) -> None:
    path = TEMPLATES[template]
    for name, (code, _) in functions(load(path)).items():
        source = (path.parent / code).resolve()
        expected = {Path(source.name, path.name) for path in source.glob("*.py")}
        place = built / folder / name
        found = {path.relative_to(place) for path in place.rglob("*.*") if path.suffix != ".pyc"}
        assert found == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_imports_with_its_layer_and_the_runtime_alone(
    built: Path, runtime: Path, name: str
) -> None:
    function, layer = built / name, built / "TimpushLayer/python"
    # Lambda's order: the function, the layers, the runtime's own packages.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROBE, function, layer, runtime],
        env={"PATH": "", "AWS_REGION": "us-east-1"},
        cwd=function,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["handler"]
    files = reply["modules"]
    assert Path(files["timpush"]).parent == layer / "timpush"
    assert Path(files["urllib3"]).parent == layer / "urllib3"
    assert Path(files["aws_lambda_powertools"]).parent == layer / "aws_lambda_powertools"
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    homes = [function, layer, runtime, *standard]
    strangers = [
        file
        for file in files.values()
        if file and not any(Path(file).is_relative_to(home) for home in homes)
    ]
    assert strangers == []


def test_compiled_package_is_refused(tmp_path: Path) -> None:
    """The layer's own recipe refuses what would not run on another machine."""
    shutil.copytree(ROOT / "layers/timpush", tmp_path / "layer")
    (tmp_path / "layer/requirements.txt").write_text(compiled_requirement(), encoding="utf-8")
    done = subprocess.run(
        ["make", "build-TimpushLayer"],
        cwd=tmp_path / "layer",
        env=os.environ
        | {"ARTIFACTS_DIR": str(tmp_path), "BUILD_PYTHON": f"{ROOT}/.tools/uv/bin/python"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert "No matching distribution found for pyyaml" in done.stderr
    assert not (tmp_path / "python").exists()


def compiled_requirement() -> str:
    """PyYAML as it is locked: it has wheels for every machine, each compiled."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (package,) = (one for one in lock["package"] if one["name"] == "pyyaml")
    hashes = [f"--hash={wheel['hash']}" for wheel in package["wheels"]]
    return " ".join([f"pyyaml=={package['version']}", *hashes])
