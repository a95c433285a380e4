"""A process that gets one made-up tool with whatever `go` is on PATH, and prints what became of it."""

import pathlib
import sys

from clients.tools.go import Go
from clients.tools.installer import get
from tests.unit.tools.made_up import GO, Heard, tool

if __name__ == "__main__":
    (outcome,) = get([tool(GO)], Heard(), {"go": Go(pathlib.Path(sys.argv[1]))})
    print(outcome.model_dump_json())  # noqa: T201 - its result
