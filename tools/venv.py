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
    try:
        return subprocess.run([PYTHON, "-c", USABLE], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def make() -> None:
    """Make .venv with the running interpreter."""
    if sys.version_info < (3, 11):
        sys.exit(f"cumulant needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=False).returncode:
        sys.exit("could not make .venv; on Debian and Ubuntu: apt install python3-venv")


def fresh(stamp: Path) -> bool:
    """Whether `stamp` was left after the last change of what the installation is made from."""
    made_from = [PROJECT, ROOT / "hatch_build.py", *(ROOT / "src/cumulant").glob("*/native/*.[ch]")]
    return stamp.exists() and all(stamp.stat().st_mtime > path.stat().st_mtime for path in made_from)


def install(name: str) -> None:
    """Install the package itself, editable (`name` is ``core``), or what its extra `name` asks for."""
    # An extra goes beside the installed package: to install that again would take it away for a moment
    # from whatever else runs in .venv, such as the tests while make -j is at it.
    what = ["--editable", str(ROOT)] if name == "core" else [f"cumulant[{name}]"]
    print(f"installing cumulant ({name}) into .venv", flush=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    if subprocess.run(pip, check=False).returncode:
        sys.exit(f"could not install cumulant ({name}); pip says why above")


def main(extra: str) -> None:
    """Bring .venv up to date with pyproject.toml for `extra`, and leave stamps that say so."""
    with PROJECT.open() as project:
        # The lock is on a file that is always there, so that nothing is left behind.
        fcntl.flock(project, fcntl.LOCK_EX)
        if not usable():
            make()
        for name in dict.fromkeys(["core", extra]):
            stamp = VENV / "stamps" / name
            if not fresh(stamp):
                install(name)
                stamp.parent.mkdir(exist_ok=True)
                stamp.touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
