"""Run the commands: ./ops, or python tools/timpush_ops, from any folder."""

import signal
import sys
from pathlib import Path


def main() -> None:
    """The command line, with the import paths it needs when it is run by its path."""
    if not __package__:
        root = Path(__file__).resolve().parents[2]
        sys.path[:1] = [str(root / "layers/timpush"), str(root / "tools")]
    from timpush_ops.cli import cli

    # A command that is ended by a time limit cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli(prog_name="ops")


if __name__ == "__main__":
    main()
