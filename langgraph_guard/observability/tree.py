"""The steps of a log as a tree, one per trace: what was called, how long it took, what it cost, what guards said.

    Trace: thread-42 (5,120 tokens, $0.0006, 35 steps)
    ├── ⏸ run support_agent [436 ms]
    │   ├── ✓ agent [245 ms]
    │   │   └── ✓ llm.gpt-4o-mini [242 ms, 1,280 tokens, $0.0002]
    │   └── ✓ tools [6 ms]
    │       └── ✗ tool.flaky [0.3 ms, TimeoutError: upstream timed out]
    └── ✓ run support_agent [33 ms]
        └── ✓ resume

A run that goes on with what another one left open is drawn below the same heading. Whatever a step is called, what it
shows cannot move a cursor, hide text or turn its direction.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from langgraph_guard.errors import show
from langgraph_guard.observability.steps.step import Step

if TYPE_CHECKING:
    from rich.tree import Tree

MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "allow": ("✓", "green"),
    "error": ("✗", "red"),
    "block": ("✗", "bold yellow"),
    "trip": ("✗", "bold yellow"),
    "warn": ("!", "yellow"),
    "waiting": ("⏸", "cyan"),
    "interrupted": ("⏸", "cyan"),
}
"""What stands before a step, and its style."""

MOST_CHARS: Final = 160
"""Characters of a text that a line shows."""


@dataclass(slots=True)
class Branch:
    """A step and what is below it."""

    step: Step
    below: list[Branch] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """Runs that belong together."""

    id: str
    thread_id: str | None
    runs: list[Branch]
    steps: list[Step]


def trees(steps: Iterable[Step], *, quiet: bool = False) -> list[Tree]:
    """One tree per trace, in the order in which they began. `quiet`: without nodes in which nothing is to be seen."""
    return [drawn(trace, quiet=quiet) for trace in traces(steps)]


def text(steps: Iterable[Step], *, quiet: bool = False) -> str:
    """The same as plain text."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file,
        width=10_000,
        color_system=None,
        highlight=False,
        legacy_windows=False,
        force_jupyter=False,  # in a notebook it would show the trees there, and return nothing
    )
    for tree in trees(steps, quiet=quiet):
        console.print(tree)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


# What belongs together


def traces(steps: Iterable[Step]) -> list[Trace]:
    """Steps by trace. A resume whose own process chose a new trace joins the one that its thread left open."""
    by_trace: dict[str, list[Step]] = {}
    for step in sorted(steps, key=lambda each: each.ts):
        by_trace.setdefault(step.trace_id, []).append(step)
    found: list[Trace] = []
    left_open: dict[str, Trace] = {}
    for id, parts in by_trace.items():
        thread = next((each.thread_id for each in parts if each.thread_id), None)
        runs = _branches(parts)
        earlier = left_open.pop(thread, None) if thread else None
        if earlier is not None and any(each.kind == "resume" for each in parts):
            trace = earlier
            trace.runs += runs
            trace.steps += parts
        else:
            found.append(trace := Trace(id, thread, runs, parts))
        if thread and any(each.step.status == "interrupted" for each in runs[-1:]):
            left_open[thread] = trace
    return found


def _branches(steps: Sequence[Step]) -> list[Branch]:
    """What stands at the top, with all below: runs, and what has lost the step around it."""
    known = {step.id: Branch(step) for step in steps}
    top: list[Branch] = []
    for step in steps:
        around = known.get(step.parent_id or "")
        (top if around is None or around.step is step else around.below).append(known[step.id])
    return top


# How it is drawn


def drawn(trace: Trace, *, quiet: bool = False) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    heading = Text.assemble(("Trace: ", "bold"), plain(trace.thread_id or trace.id), f" ({totals(trace.steps)})")
    root = Tree(heading, guide_style="dim")
    waiting = [(root, branch) for branch in reversed(trace.runs)]
    while waiting:  # Not by recursion: subgraphs may nest deeper than Python does.
        above, branch = waiting.pop()
        mark, style = MARKS.get(branch.step.status, ("?", "white"))
        label = Text.assemble((mark, style), " ", name_of(branch.step))
        if said := details(branch.step):
            label.append(f" [{', '.join(said)}]", "dim" if style == "green" else style)
        here = above.add(label)
        waiting += [(here, each) for each in reversed(branch.below) if not quiet or has_news(each)]
    return root


def has_news(branch: Branch) -> bool:
    step = branch.step
    return bool(branch.below) or step.kind not in ("node", "chain") or step.status != "ok"


def totals(steps: Sequence[Step]) -> str:
    costs = [step.cost_micro_usd for step in steps if step.cost_micro_usd is not None]
    tokens = f"{sum(step.tokens for step in steps):,} tokens"
    cost = [money(sum(costs))] if costs else []
    return ", ".join([tokens, *cost, f"{len(steps)} step{'' if len(steps) == 1 else 's'}"])


def name_of(step: Step) -> str:
    name = plain(step.name)
    match step.kind:
        case "node" | "resume" | "interrupt":
            return name
        case "run":
            return f"run {name}"
        case "tool" | "llm" | "guard" | "chain" | "feedback":
            return f"{step.kind}.{name}"


def details(step: Step) -> list[str]:
    """What stands in a step's brackets."""
    parts = [] if step.duration_ms is None else [took(step.duration_ms)]
    if step.tokens:
        parts.append(f"{step.tokens:,} tokens")
    if step.cost_micro_usd is not None:
        parts.append(money(step.cost_micro_usd))
    if step.kind == "guard":
        parts += dict.fromkeys([step.status, *said_of(step)])  # "warn" once, where that is what it said
    elif step.status == "error":
        parts.append(": ".join(plain(each) for each in (step.error_type, step.error) if each) or "error")
    elif step.kind in ("interrupt", "feedback"):
        parts += said_of(step) or [step.status]
    if ended := step.attrs.get("ended"):
        parts.append(f"ended: {plain(str(ended))}")
    return [clipped(part) for part in parts]


def said_of(step: Step) -> list[str]:
    """What a guard said, in words where there are words for it, else as it said it; what a person did."""
    if step.kind == "feedback":
        return [plain(each) for each in (f"score {step.attrs.get('score')}", step.result) if each]
    words = _WORDS.get(step.name)
    if words is not None:
        try:
            return [plain(each) for each in words(step.attrs) if each]
        except (TypeError, ValueError, KeyError, OverflowError, OSError):
            pass  # An event of another version: its figures are shown as they are.
    facts = (f"{name} {value}" for name, value in step.attrs.items() if value not in (None, "", False) and name != "v")
    return [plain(each) for each in facts]


def _amounts(said: Mapping[str, Any]) -> list[str]:
    window = f" per {said['window']}" if said.get("window") else ""
    limit = f"{show(said['unit'], said['spent'])} of {show(said['unit'], said['limit'])} per {said['scope']}{window}"
    return [limit]


def _transition(said: Mapping[str, Any]) -> list[str]:
    again = said.get("retry_at")
    change = f"{said['key']}: {said['before']} → {said['after']}"
    return [change, f"next try at {moment(again / 1_000)}" if again else ""]


def _again(seconds: float | None) -> str:
    return "" if seconds is None else f"again in {seconds:.0f} s"


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "budget.verdict": lambda said: [said["route"], *_amounts(said)],
    "budget.denied": lambda said: [*_amounts(said), f"{show(said['unit'], said['requested'])} asked for"],
    "budget.settled": lambda said: ["tools"],
    "breaker.transition": _transition,
    "breaker.refused": lambda said: [f"{said['key']} is {said['state']}", _again(said.get("retry_after"))],
    "loop.found": lambda said: [f"{said['kind']} call of {said['tool']}, {said['count']} times → {said['rung']}"],
    "run.finished": lambda said: [said["status"]],
    "tool.answered": lambda said: [str(said["tool"]), str(said.get("error_type") or said["status"])],
    "tool.retried": lambda said: [f"{said['tool']}: {said['error_type']}", f"again after {said['pause']:.1f} s"],
    "approval.asked": lambda said: [str(said["tool"])],
    "interrupt": lambda said: ["waiting"],
}


def money(micro_usd: int) -> str:
    """Four digits below a dollar, two from there on; what is less than that shows all it has."""
    if micro_usd >= 1_000_000:
        return f"${micro_usd / 1e6:,.2f}"
    return f"${micro_usd / 1e6:.6f}" if 0 < micro_usd < 100 else f"${micro_usd / 1e6:.4f}"


def took(ms: float) -> str:
    if ms >= 100_000:
        return f"{ms / 1_000:,.0f} s"
    return f"{ms / 1_000:.1f} s" if ms >= 10_000 else f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def clipped(said: str) -> str:
    return said if len(said) <= MOST_CHARS else f"{said[: MOST_CHARS - 1]}…"


def plain(said: str) -> str:
    """On one line, with what is not printable written out: a terminal obeys what it is sent."""
    if said.isprintable():
        return said
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in said)
