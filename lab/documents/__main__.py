"""`python -m documents` writes the marked tables of README.md and docs/*.md, and the drawings.

`--check` writes nothing, names the documents that are out of date and ends with 1 if there are any.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from documents.drawing import drawings
from documents.regions import IMAGES, documents, renew
from documents.tables import tables


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    current = tables()
    stale = []
    written = {path: renew(path.read_text(encoding="utf-8"), current) for path in documents()}
    written |= {IMAGES / name: drawing for name, drawing in drawings().items()}
    for path, new in written.items():
        if not path.exists() or path.read_text(encoding="utf-8") != new:
            stale.append(path)
            if not options.check:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{path.name}: {'out of date: run make docs' if options.check else 'written'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
