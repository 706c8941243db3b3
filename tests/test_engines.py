from __future__ import annotations

import pytest

from engines import require


def test_an_engine_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUMULANT_REQUIRE_ENGINES", "1")
    assert require("Chromium", available=True, reason="") is None


def test_a_missing_engine_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUMULANT_REQUIRE_ENGINES", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"Chromium is not available: not on PATH"):
        require("Chromium", available=False, reason="not on PATH")


def test_a_missing_engine_fails_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUMULANT_REQUIRE_ENGINES", "1")
    with pytest.raises(pytest.fail.Exception, match=r"Chromium is required .* but not on PATH"):
        require("Chromium", available=False, reason="not on PATH")
