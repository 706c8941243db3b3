"""One call in a process of its own: ``python -m benchmarks.worker MODULE:FUNCTION JSON``."""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks.harness import resident


def main(target: str, parameters: str) -> None:
    module, function = target.split(":")
    result = getattr(importlib.import_module(module), function)(**json.loads(parameters))
    print("\n" + json.dumps({"result": result, "peak_bytes": resident("VmHWM")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
