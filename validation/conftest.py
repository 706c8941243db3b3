from __future__ import annotations

import sys
from pathlib import Path

# The loaders of this folder are modules beside the tests, not a package.
sys.path.insert(0, str(Path(__file__).parent))
