"""Looking again and again: in place in a terminal, one look below the other elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.cli.budgets import tables
from langgraph_guard.cli.budgets.snapshot import Snapshot
from langgraph_guard.errors import GuardRuntimeError


def watch(seen: Callable[[], Snapshot], console: Console, top: int, every: float, clock: Clock) -> int:
    """Until Ctrl-C. A ledger that does not answer is said, and asked again."""
    if not console.is_terminal:
        while True:
            console.print(frame(seen, top))
            clock.sleep(every)
    with Live(frame(seen, top), console=console, auto_refresh=False) as live:
        while True:
            clock.sleep(every)
            live.update(frame(seen, top), refresh=True)


def frame(seen: Callable[[], Snapshot], top: int) -> RenderableType:
    try:
        return tables.page(seen(), top)
    except GuardRuntimeError as error:
        return Text(str(error), "bold red")
