"""``python -m cumulant``: the same as the ``cumulant`` program."""

import sys

from cumulant.cli import main

if __name__ == "__main__":
    sys.exit(main())
