"""Functions packaged alike, to be started as Lambda would: the built one, a peer, the least one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from reliability.runtime import BUILD, LAYER, PYTHON

PEERS = Path(__file__).parent / "peers"
APPLICATION, PEER, LEAST, BARE = "this application", "BatchProcessor", "the least", "bare runtime"


@dataclass(frozen=True)
class Package:
    """A folder with app.py in a package, and the layers it has."""

    name: str
    folder: Path
    layers: tuple[Path, ...] = ()


@contextmanager
def packages() -> Iterator[dict[str, Package]]:
    """All of them, by name."""
    with TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        for each in ("batch_processor", "least", "bare"):
            (folder / each / each).mkdir(parents=True)
        shutil.copy(PEERS / "batch_processor.py", folder / "batch_processor/batch_processor/app.py")
        shutil.copy(PEERS / "least.py", folder / "least/least/app.py")
        bare = "def lambda_handler(event, context):\n    return {}\n"
        (folder / "bare/bare/app.py").write_text(bare, encoding="utf-8")
        every = (
            Package(APPLICATION, BUILD / "RemoveTagsWorker", (LAYER,)),
            Package(PEER, folder / "batch_processor", (LAYER,)),
            Package(LEAST, folder / "least"),
            Package(BARE, folder / "bare"),
        )
        yield {package.name: package for package in every}


def runtime_packages() -> Path:
    """The folder with what the Python runtime of Lambda brings."""
    [folder] = PYTHON.parents[1].glob("lib/python*/site-packages")
    return folder


def compile_runtime() -> None:
    """Compile what the runtime brings, once. Layer and functions stay as they were built."""
    arguments = (PYTHON, "-m", "compileall", "-q", runtime_packages())
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, timeout=300)
