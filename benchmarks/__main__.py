"""`python -m benchmarks [NAME …]` prints the table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import ModuleType

from rich.console import Console, RenderableType
from rich.table import Table

try:
    from benchmarks import (
        accuracy,
        approvals,
        breakers,
        cleaning,
        cloudflare,
        crowd,
        deltas,
        distant,
        events,
        fused,
        gate,
        growth,
        guarded,
        imports,
        langfuse,
        ledger,
        loops,
        meter,
        offload,
        outage,
        overspend,
        recall,
        savers,
        steps,
        summarizing,
        tokens,
        waiting,
    )
    from benchmarks.measure import Row
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] in ("benchmarks", "langgraph_guard", "tests"):
        raise  # a fault of ours, which no extra mends
    print(f"python -m benchmarks: {missing.name} is not installed: pip install -e '.[dev]'", file=sys.stderr)
    sys.exit(2)

CLAIMS: dict[str, ModuleType] = {
    "gate": gate,
    "meter": meter,
    "fused": fused,
    "imports": imports,
    "events": events,
    "ledger": ledger,
    "breakers": breakers,
    "overspend": overspend,
    "waiting": waiting,
    "guarded": guarded,
    "approvals": approvals,
    "tokens": tokens,
    "accuracy": accuracy,
    "savers": savers,
    "distant": distant,
    "growth": growth,
    "deltas": deltas,
    "crowd": crowd,
    "cloudflare": cloudflare,
    "loops": loops,
    "offload": offload,
    "cleaning": cleaning,
    "recall": recall,
    "summarizing": summarizing,
    "steps": steps,
    "langfuse": langfuse,
    "outage": outage,
}
DETAILS: dict[str, Callable[[], RenderableType]] = {
    "accuracy": accuracy.every_kind,
    "savers": savers.every_operation,
    "distant": distant.every_operation,
    "cloudflare": cloudflare.every_count,
}
"""What there is to see behind the rows."""

WIDTH = 170


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Every speed claim, measured.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(CLAIMS)}; all by default")
    names = parser.parse_args().names or list(CLAIMS)
    if unknown := set(names) - CLAIMS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH  # a log has no width, and a wrapped table is hard to read
    with console.status("measuring"):
        found = list(rows(names))
    console.print(table(found), machine(), sep="\n")
    for details in (details() for name, details in DETAILS.items() if name in names):
        console.print(details)


def rows(names: list[str]) -> Iterator[Row]:
    for name in names:
        yield from CLAIMS[name].rows()


def table(found: list[Row]) -> Table:
    shown = Table("claim", "ours", "peer", "ratio", "goal", "holds")
    for row in found:
        holds = "" if row.holds is None else "yes" if row.holds else "NO"
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}×"
        shown.add_row(row.claim, row.ours, row.peer, ratio, row.goal, holds)
    return shown


def machine() -> str:
    names = ("langgraph", "langchain-core")
    on = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    return f"CPU time, wall time of what waits, medians of interleaved rounds. {', '.join(on)}, {os.cpu_count()} cores."


if __name__ == "__main__":
    main()
