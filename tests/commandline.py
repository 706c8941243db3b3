"""The program, called as a user calls it, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cumulant.cli import main

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    def ok(self) -> Answer:
        assert self.status == 0, self.err
        return self

    def refusal(self, status: int = 1) -> str:
        """The one line that says what is wrong."""
        assert self.status == status, (self.status, self.out, self.err)
        lines = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("error: ")


@dataclass(frozen=True)
class Cli:
    """Calls the program inside this process."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Answer:
        self.capture.readouterr()
        status = main([str(word) for word in words])
        seen = self.capture.readouterr()
        return Answer(status, seen.out, seen.err)


def houses(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Numbers, a category, true/false, a date, and some missing cells."""
    rng = np.random.default_rng(seed)
    rooms = rng.integers(1, 9, rows)
    town = rng.choice(["Delft", "Graz", "Lund"], rows)
    area = 20.0 * rooms + 10 * rng.standard_normal(rows)
    garden = rng.random(rows) < 0.5
    price = 3 * area + 50 * (town == "Delft") + 20 * garden + 15 * rng.standard_normal(rows)
    sold = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), unit="D")
    frame = pd.DataFrame({"town": town, "rooms": rooms, "area": area, "garden": garden, "sold": sold, "price": price})
    frame.loc[rng.choice(rows, rows // 20, replace=False), "area"] = np.nan
    return frame


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **more}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "cumulant", *(str(word) for word in words)]


def run(*words: object, **options: object) -> Answer:
    """Call the program in a process of its own, its output a pipe."""
    settings = {"capture_output": True, "text": True, "timeout": 120, "env": environment(), **options}
    done = subprocess.run(command(*words), check=False, **settings)  # type: ignore[call-overload]
    return Answer(done.returncode, done.stdout, done.stderr)
