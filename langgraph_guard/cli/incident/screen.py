"""Progress: two panels side by side in a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from langgraph_guard.cli.incident.agents import LIMIT
from langgraph_guard.cli.incident.play import ENOUGH, Run

INTRODUCTION: Final = (
    '\n[bold]2 a.m.[/bold] An order service hangs. A support agent takes its time-out for "pending" and asks again.'
    "\n[dim]The service is a real HTTP server on this machine, and so are the time-outs. The model is scripted and"
    " priced as gpt-4o, and the guards' clock stands at 2 a.m.[/dim]\n"
)

MILESTONE: Final = 50
"""Tool calls between two plain lines."""

STYLES: Final = ("red", "green")


def money(micro_usd: int) -> str:
    """Two digits from a dollar on, four below."""
    return f"${micro_usd / 1e6:,.2f}" if micro_usd >= 1_000_000 else f"${micro_usd / 1e6:.4f}"


@contextmanager
def shown(runs: Sequence[Run], console: Console) -> Iterator[Callable[[], None]]:
    """What to call now and then while `runs` are under way."""
    if not (console.is_interactive and console.file.isatty()):
        yield Lines(runs, console).tick
        return
    with Live(frame(runs), console=console, auto_refresh=False) as live:
        yield lambda: live.update(frame(runs), refresh=True)
        live.transient = True  # The table that follows says it all; after Ctrl-C nothing follows, and the panels stay.


# Side by side


def frame(runs: Sequence[Run]) -> RenderableType:
    table = Table.grid(expand=True)
    for _ in runs:
        table.add_column(ratio=1)
    table.add_row(*(panel(run, style) for run, style in zip(runs, STYLES, strict=True)))
    return Group(table, Text())  # A terminal echoes ^C where the cursor is: there, it moves nothing.


def panel(run: Run, style: str) -> Panel:
    watch = run.watch
    limit = round(LIMIT * 1_000_000)
    figures = Table.grid(expand=True)
    figures.add_column()
    figures.add_column(justify="right")
    figures.add_row("model calls", f"{watch.model_calls:,}")
    figures.add_row("time-outs", f"{watch.tool_calls:,}")
    figures.add_row("tokens", f"{watch.tokens:,}")
    figures.add_row("spent", Text(money(watch.spent), style=f"bold {style}"))
    figures.add_row(f"of {LIMIT} USD", f"{watch.spent / limit:,.0%}")
    bar = ProgressBar(limit, min(watch.spent, limit), complete_style=style, finished_style=style)
    return Panel(Group(figures, bar, Text(), scene(run)), title=run.title, border_style=style)


def scene(run: Run) -> Text:
    """What is happening: two lines, so that the panels keep their height."""
    if run.ended:
        return Text(f"{run.ended}\nafter {run.watch.tool_calls} time-outs", "bold")
    return Text(f"tool:  timeout #{run.watch.tool_calls}\nagent: still pending, asking again", "dim")


# Line by line


class Lines:
    """Plain progress: a line for every `MILESTONE` tool calls of an agent, and one when it ends."""

    def __init__(self, runs: Sequence[Run], console: Console) -> None:
        self._runs = runs
        self._console = console
        self._told = [0] * len(runs)

    def tick(self) -> None:
        for at, run in enumerate(self._runs):
            reached = ENOUGH if run.ended else run.watch.tool_calls // MILESTONE * MILESTONE
            if reached > self._told[at]:
                self._told[at] = reached
                self._console.print(line(run))


def line(run: Run) -> str:
    watch = run.watch
    return (
        f"{run.title:<14}{watch.model_calls:>4} model calls{watch.tool_calls:>5} time-outs{money(watch.spent):>9}"
        f"  {run.ended}"
    ).rstrip()
