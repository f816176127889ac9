"""Run the commands: python -m timpush_ops."""

from timpush_ops.cli import cli

if __name__ == "__main__":
    cli(prog_name="timpush_ops")
