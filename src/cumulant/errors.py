"""Exceptions and warnings: every message says what is wrong, where, and the remedy."""

from __future__ import annotations

__all__ = [
    "ColumnError",
    "CumulantError",
    "CumulantWarning",
    "DataError",
    "FileFormatError",
    "IncompatibleError",
    "MissingDependencyError",
    "OptionError",
    "ResourceError",
    "SourceError",
]


class CumulantError(Exception):
    """Base of every error this package raises on purpose."""


class SourceError(CumulantError, OSError):
    """A table cannot be opened or read: missing file, empty file, broken encoding, truncated file."""


class DataError(CumulantError, ValueError):
    """A cell, row or column holds something that cannot be measured; the message names it."""


class ColumnError(CumulantError, KeyError):
    """A column was named that the table or the model does not have."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would wrap the sentence in quotes.
        return str(self.args[0]) if self.args else ""


class OptionError(CumulantError, ValueError):
    """An option has a value it cannot take."""


class IncompatibleError(CumulantError, ValueError):
    """Two moments, or a model and a table, do not describe the same columns."""


class FileFormatError(CumulantError, ValueError):
    """A saved model or moments file is truncated, foreign, corrupted or from a newer version."""


class ResourceError(CumulantError, MemoryError):
    """The work asked for needs more memory than there is; the message says how much."""


class MissingDependencyError(CumulantError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


class CumulantWarning(UserWarning):
    """A choice was made for the user, or a result is weaker than it looks; the message carries the remedy."""
