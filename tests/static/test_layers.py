"""The layer's modules keep to their places: who imports whom, how large they are. Read with `ast`.

Arrows point downwards: pure modules, then `tencent`, then `removal` and `queue`, then `functions`.
What decides knows neither threads nor sockets nor AWS.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER, FUNCTIONS = ROOT / "layers/timpush", ROOT / "functions"
MOST_CLASS_LINES, MOST_FUNCTION_LINES = 250, 40
DECIDING = (
    "plan",
    "backlog",
    "verdict",
    "signing",
    "pace",
    "packing",
    "health",
    "refused_tags",
    "results",
)
IMPURE = frozenset(
    {
        *("threading", "_thread", "concurrent", "multiprocessing", "asyncio", "queue", "socket"),
        *("ssl", "select", "selectors", "http", "urllib", "urllib3", "boto3", "botocore", "time"),
        *("os", "subprocess", "aws_lambda_powertools"),
    }
)
LEVELS = {"tencent": 1, "removal": 2, "queue": 2, "jobs": 3, "settings": 3}
"""Of what is in the layer; its other modules are level 0. Settings know the limits of all else."""
FUNCTIONS_LEVEL = 4


def name_of(path: Path) -> str:
    """The name by which a module is imported."""
    base = LAYER if path.is_relative_to(LAYER) else FUNCTIONS
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(LAYER.glob("timpush/**/*.py"))}
FUNCTION_SOURCES = {name_of(path): path for path in sorted(FUNCTIONS.glob("*/*.py"))}
ALL = SOURCES | FUNCTION_SOURCES


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(ALL[name].read_text())


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run: not what only the type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not is_type_checking(child):
            yield child
            yield from running(child)


@cache
def imports(name: str) -> frozenset[str]:
    """The modules that a module imports, wherever it does so."""
    found: set[str] = set()
    for node in running(tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "a relative import"
            assert node.level == 0, "a relative import"
            below = {f"{node.module}.{alias.name}" for alias in node.names} & ALL.keys()
            found |= below or {node.module}
    return frozenset(found)


@cache
def reaches(name: str) -> frozenset[str]:
    """The modules that are loaded with a module: what it imports, and what these import."""
    found: set[str] = set()
    left = [name]
    while left:
        for one in imports(left.pop()) - found:
            found.add(one)
            if one in ALL:
                left.append(one)
    return frozenset(found)


def level(name: str) -> int:
    package = name.split(".")
    if package[0] != "timpush":
        return FUNCTIONS_LEVEL
    return LEVELS.get(package[1], 0) if len(package) > 1 else 0


@pytest.mark.parametrize("name", ALL)
def test_a_module_imports_only_what_lies_below_or_beside_it(name: str) -> None:
    above = [one for one in imports(name) if one in ALL and level(one) > level(name)]
    assert not above


@pytest.mark.parametrize("name", ALL)
def test_no_module_imports_itself_by_a_detour(name: str) -> None:
    assert name not in reaches(name)


@pytest.mark.parametrize("module", DECIDING)
def test_what_decides_knows_no_threads_no_sockets_and_no_aws(module: str) -> None:
    loaded = {one.partition(".")[0] for one in reaches(f"timpush.removal.{module}")}
    assert not loaded & IMPURE


def test_only_the_engine_and_the_single_call_know_threads() -> None:
    threading = {"threading", "concurrent.futures"}
    found = {name for name in SOURCES if imports(name) & threading and ".removal" in name}
    assert found == {"timpush.removal.engine", "timpush.removal.single"}


def definitions(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, int]]:
    """(place, lines without the docstring) of each definition of this kind."""
    for name in ALL:
        for node in ast.walk(tree(name)):
            if isinstance(node, kind):
                assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                lines = (node.end_lineno or 0) - node.lineno + 1
                text = ast.get_docstring(node, clean=False) or ""
                yield f"{name}.{node.name}", lines - len(text.splitlines())


def test_no_class_is_too_large_to_read() -> None:
    large = {place: n for place, n in definitions(ast.ClassDef) if n > MOST_CLASS_LINES}
    assert not large


def test_no_function_is_too_long_to_read() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {place: n for place, n in definitions(kinds) if n > MOST_FUNCTION_LINES}
    assert not long
