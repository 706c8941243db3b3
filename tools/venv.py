"""Make .venv and install this package in it with one of its extras; the Makefile calls ``venv.py EXTRA``.

Safe to run twice at once: the second process waits for the first, and finds its work done.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
USABLE = "import sys, pip; sys.exit(sys.version_info < (3, 11))"


def usable() -> bool:
    """Whether .venv has a working interpreter, new enough, with pip: not half made, not broken."""
    return (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-c", USABLE], check=False, capture_output=True).returncode == 0
    )


def make() -> None:
    """Make .venv with the running interpreter."""
    if sys.version_info < (3, 11):
        sys.exit(f"cumulant needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=False).returncode:
        sys.exit("could not make .venv; on Debian and Ubuntu: apt install python3-venv")


def install(extra: str) -> None:
    """Install the package, editable, with `extra` (``core``: with none)."""
    target = str(ROOT) if extra == "core" else f"{ROOT}[{extra}]"
    print(f"installing cumulant ({extra}) into .venv", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", target]
    if subprocess.run(pip, check=False).returncode:
        sys.exit(f"could not install cumulant ({extra}); pip says why above")


def main(extra: str) -> None:
    """Bring .venv up to date with pyproject.toml for `extra`, and leave a stamp that says so."""
    stamp = VENV / "stamps" / extra
    with PROJECT.open() as project:
        # The lock is on a file that is always there, so that nothing is left behind.
        fcntl.flock(project, fcntl.LOCK_EX)
        if not usable():
            make()
        if not stamp.exists() or stamp.stat().st_mtime <= PROJECT.stat().st_mtime:
            install(extra)
            stamp.parent.mkdir(exist_ok=True)
            stamp.touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
