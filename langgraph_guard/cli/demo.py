"""`langgraph-guard demo`: the 2 a.m. incident, played twice at the same time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console

from langgraph_guard.cli.incident import ending, screen
from langgraph_guard.cli.incident.agents import guarded, unguarded
from langgraph_guard.cli.incident.orders import order_service, order_tool
from langgraph_guard.cli.incident.play import Run, play


def main(argv: Sequence[str]) -> int:
    argparse.ArgumentParser("langgraph-guard demo", description=__doc__).parse_args(argv)
    console = Console(highlight=False)
    console.print(screen.INTRODUCTION)
    with order_service() as url, order_tool(url) as tool:
        runs = Run("no guard", unguarded(tool)), Run("with guards", guarded(tool), [])
        with screen.shown(runs, console) as tick:
            play(runs, tick)
    console.print(ending.told(*runs))
    return 0
