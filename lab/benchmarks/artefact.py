"""The size of what is deployed: each part of the build as a zip file."""

import io
import zipfile
from pathlib import Path

from reliability.runtime import BUILD


def measure(build: Path = BUILD) -> dict[str, int]:
    """Bytes of the zip of each part of the build, by logical id."""
    return {part.name: zip_bytes(part) for part in sorted(build.iterdir()) if part.is_dir()}


def zip_bytes(folder: Path) -> int:
    """The size of a folder as a zip file."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return len(written.getvalue())
