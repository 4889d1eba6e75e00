"""The steps of a run as a tree: what was called, what it cost, what the guards said, how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from langgraph_guard.cli.incident.play import QUESTION, Run
from langgraph_guard.cli.incident.screen import money
from langgraph_guard.cli.incident.steps import ModelCall, Steps, ToolCall


def tree(run: Run, steps: Steps) -> RenderableType:
    """All of `run`, its answer last."""
    root = Tree(Text.assemble(("turn ", "bold"), f'"{QUESTION}"'), guide_style="dim")
    for step in steps.taken:
        if isinstance(step, ModelCall):
            root.add(model_line(step))
        else:
            hang(root.add(tool_line(step)), step)
    root.add(answer_line(run))
    return root


def model_line(step: ModelCall) -> Text:
    return Text.assemble(*columns(f"model {step.model}", f"{step.tokens:,} tokens", money(step.cost)))


def tool_line(step: ToolCall) -> Text:
    took = "not made" if step.seconds is None else f"{step.seconds * 1_000:,.0f} ms"
    style = "green" if step.status == "success" else "red"
    line = Text.assemble(*columns(f"tool {step.name}", took, (step.status, style)))
    return line.append(" → circuit open", "bold yellow") if step.opened else line


def hang(node: Tree, step: ToolCall) -> None:
    """What guards found, and what the model was told, below a call."""
    for found in step.guards:
        node.add(Text(found, "yellow"))
    if step.told:
        node.add(Text.assemble(("the model reads: ", "dim"), " ".join(step.told)))


def answer_line(run: Run) -> Text:
    totals = f"{run.watch.tokens:,} tokens", money(run.watch.spent)
    return Text.assemble(*columns("answer", *totals)).append(f"  {run.report.status}", "bold green")


def columns(name: str, figure: str, last: str | tuple[str, str]) -> Sequence[str | tuple[str, str]]:
    return f"{name:<22}", f"{figure:>14}  ", last
