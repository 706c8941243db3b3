"""The ``cumulant`` program: one file per command, and no mathematics."""

from cumulant.cli.program import app, main

__all__ = ["app", "main"]
