"""Compile what runs for each row when the package is built; without a compiler NumPy and Arrow do it, more slowly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("src/cumulant")
LIBRARIES = {
    "measure/native/_panels.so": "panels.c",
    "source/native/_decode.so": "decode.c",
}
FLAGS = ["-O3", "-fPIC", "-shared", "-ffp-contract=fast", "-Wno-psabi", "-Wno-unknown-pragmas"]


class NativeBuildHook(BuildHookInterface[Any]):
    """Builds each library beside its source, for wheels and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as one for this platform."""
        del version
        for library, source in LIBRARIES.items():
            target = Path(self.root) / PACKAGE / library
            if not compiled(target.with_name(source), target):
                self.app.display_warning("no C compiler: cumulant will read and sum several times slower")
                return
            build_data["artifacts"].append(str(PACKAGE / library))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def compiled(source: Path, target: Path) -> bool:
    """Whether a compiler was found and made ``target``."""
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
    if compiler is None or sys.platform == "win32":
        return False
    # Built aside and renamed: a running process may have the old library mapped.
    fresh = target.with_suffix(".new")
    # OpenMP shares the work on wide tables; without it they are summed all the same.
    for extra in (["-fopenmp"], []):
        command = [compiler, *FLAGS, *extra, str(source), "-o", str(fresh), "-lm"]
        if subprocess.run(command, check=False, capture_output=bool(extra)).returncode == 0:
            fresh.replace(target)
            return True
    return False


def _platform() -> str:
    import sysconfig

    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
