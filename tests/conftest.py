from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is not a failing test, and what fails once must fail for everyone.
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("repeatable")

# Figures are drawn to files, whether or not there is a screen.
os.environ.setdefault("MPLBACKEND", "Agg")
