"""What the two runs came to: a table, the guarded run as a tree, what the customer reads, and where to go from here."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from langgraph_guard.cli.incident.agents import LIMIT
from langgraph_guard.cli.incident.play import ENOUGH, Run
from langgraph_guard.cli.incident.screen import money
from langgraph_guard.cli.incident.watch import projected
from langgraph_guard.observability import tree

SECONDS_A_CALL: Final = 6
HOURS: Final = 3
CALLS: Final = HOURS * 3_600 // SECONDS_A_CALL

HOW: Final = (
    f"* {HOURS} hours at {SECONDS_A_CALL} s a call (5 s until a time-out, 1 s for the model) are {CALLS:,} calls in"
    f" this one conversation, each dearer than the one before, as in the last {ENOUGH // 2} above: it reads the whole"
    " history again. LangGraph's own step limit is further away than that. The bill of the incident was $847 in"
    f" {HOURS} hours."
)

LINES: Final = f"""\
budget = BudgetCheckNode(Budget([Limit("usd", {LIMIT}, per="session")]), backend)
breaker = CircuitBreaker(backend)
guard = ToolGuard("tools.yaml", budget=budget, breaker=breaker)
before_tools = fuse(CircuitBreakerNode(breaker), LoopCheckNode())
model = budget.model(ChatOpenAI(model="gpt-4o").bind_tools(tools))
graph.add_node("model", budget.track(call_model))
graph.add_node("before_tools", before_tools)
graph.add_node("tools", guard.node(tools))
graph.add_node("finish", FinishNode(budget.model(cheap, landing=True)))"""


def told(unguarded: Run, guarded: Run) -> RenderableType:
    return Group(
        table(unguarded, guarded),
        Text(HOW, style="dim"),
        Text(),
        Text("The guarded run, step by step:", style="bold"),
        *tree.trees(guarded.steps or (), quiet=True),
        Text(),
        Panel(guarded.answer.text, title="what the guarded agent's customer reads", border_style="green"),
        Text(),
        Text.from_markup("[bold]What you saw:[/bold] one graph, played twice. These lines and their edges differ:"),
        Padding(Syntax(LINES, "python", theme="ansi_dark", background_color="default"), (0, 0, 0, 2)),
        Text.from_markup("[bold]Where to go next:[/bold] examples/incident_2am/agent.py, the guarded agent to copy."),
    )


def table(unguarded: Run, guarded: Run) -> Table:
    both = (unguarded, guarded)
    rows = Table(box=box.SIMPLE_HEAD, expand=True)
    rows.add_column()
    rows.add_column(unguarded.title, style="red", ratio=1)
    rows.add_column(guarded.title, style="green", ratio=1)
    rows.add_row("model calls", *(f"{run.watch.model_calls:,}" for run in both))
    rows.add_row("tool calls", *(f"{run.watch.tool_calls:,}" for run in both))
    rows.add_row("tokens", *(f"{run.watch.tokens:,}" for run in both))
    rows.add_row("USD", *(money(run.watch.spent) for run in both))
    rows.add_row("how it ended", f"did not; the demo stopped it after {ENOUGH} calls", ended(guarded))
    after = projected(unguarded.watch.costs, CALLS)
    rows.add_row(
        f"after {HOURS} hours *", f"about ${after / 1e6:,.0f} and counting", f"{money(guarded.watch.spent)}, it is over"
    )
    return rows


def ended(guarded: Run) -> str:
    return f"{guarded.report.status}, by itself, with an answer"
