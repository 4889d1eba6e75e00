"""What `import langgraph_guard` adds to `import langgraph.graph`: CPU time of fresh processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import Row

GOAL = 1.05
PEER = "import langgraph.graph"
OURS = {
    "imports: langgraph.graph and langgraph_guard against langgraph.graph alone": "import langgraph_guard",
    "imports: the same, and the names of a budget used": (
        "from langgraph_guard import Budget, BudgetCheckNode, FinishNode, Limit, MemoryBackend"
    ),
}


def rows(rounds: int = 15) -> Iterator[Row]:
    codes = [PEER, *(f"{PEER}; {also}" for also in OURS.values())]
    seconds: dict[str, list[float]] = {code: [] for code in codes}
    for code in codes:
        cpu_seconds(code)  # compiles what is not compiled yet
    for at in range(rounds):
        for code in codes if at % 2 else reversed(codes):
            seconds[code].append(cpu_seconds(code))
    peer, light, used = (median(seconds[code]) for code in codes)
    for claim, ours, goal in zip(OURS, (light, used), (GOAL, None), strict=True):
        yield Row(
            claim,
            f"{ours * 1e3:.0f} ms",
            f"{peer * 1e3:.0f} ms",
            ours / peer,
            f"≤ {goal}×" if goal else "–",
            ours / peer <= goal if goal else None,
        )


def cpu_seconds(code: str) -> float:
    timed = f"import time; began = time.process_time(); {code}; print(time.process_time() - began)"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)
