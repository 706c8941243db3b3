"""What a test does when an optional engine (a browser, a cluster, a compiler) is not on this machine."""

from __future__ import annotations

import os

import pytest


def require(name: str, available: bool, reason: str) -> None:
    """Skip the calling test where the engine `name` is not available; fail it where all engines are required.

    A skip is right on a laptop and wrong in continuous integration, where it would hide an engine that
    silently stopped being tested: there, CUMULANT_REQUIRE_ENGINES=1 is set.
    """
    if available:
        return
    if os.environ.get("CUMULANT_REQUIRE_ENGINES") == "1":
        pytest.fail(f"{name} is required by CUMULANT_REQUIRE_ENGINES=1, but {reason}")
    pytest.skip(f"{name} is not available: {reason}")
