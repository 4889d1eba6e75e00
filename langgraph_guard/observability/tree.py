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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from langgraph_guard.observability.steps.reading import Outline
from langgraph_guard.observability.steps.step import CHARGED, Step
from langgraph_guard.observability.words import moment, words

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

TELLS: Final[Mapping[str | None, tuple[str, ...]]] = {
    "circuit_open": ("breaker.refused",),
    "denied": ("effect.refused", "budget.denied", "approval.decided", "approval.expired"),
    "timeout": ("effect.found",),
    None: ("tool.replayed",),
}
"""Which guard's event has told already why a call was answered with this kind of error."""

LOOKED_BACK: Final = 50
"""Events among which it is looked for."""

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
    runs = {id: _branches(parts) for id, parts in by_trace.items()}
    sketched = [_outline(id, parts, runs[id]) for id, parts in by_trace.items()]
    return [
        Trace(
            chain[0].trace_id,
            chain[0].thread_id,
            [run for each in chain for run in runs[each.trace_id]],
            [step for each in chain for step in by_trace[each.trace_id]],
        )
        for chain in chains(sketched)
    ]


def _outline(id: str, steps: Sequence[Step], runs: Sequence[Branch]) -> Outline:
    thread = next((each.thread_id for each in steps if each.thread_id), None)
    resumes = any(each.kind == "resume" for each in steps)
    return Outline(id, thread, resumes, bool(runs) and runs[-1].step.status == "interrupted")


def chains(outlines: Iterable[Outline]) -> list[list[Outline]]:
    """Traces that belong together, of those of a log in the order in which they began."""
    found: list[list[Outline]] = []
    left_open: dict[str, list[Outline]] = {}
    for each in outlines:
        earlier = left_open.pop(each.thread_id, None) if each.thread_id else None
        if earlier is not None and each.resumes:
            chain = earlier
            chain.append(each)
        else:
            found.append(chain := [each])
        if each.thread_id and each.left_open:
            left_open[each.thread_id] = chain
    return found


def _branches(steps: Sequence[Step]) -> list[Branch]:
    """What stands at the top, with all below: runs, and what has lost the step around it."""
    known = {step.id: Branch(step) for step in steps}
    twice = told_twice(steps)
    top: list[Branch] = []
    for step in steps:
        if step.id in twice:
            continue
        around = known.get(step.parent_id or "")
        (top if around is None or around.step is step else around.below).append(known[step.id])
    return top


def told_twice(steps: Iterable[Step]) -> set[str]:
    """Ids of the answers to calls that a guard's event before them has told of: a tree has each failure once."""
    found: set[str] = set()
    untold: list[Step] = []
    for step in steps:
        if step.kind != "guard":
            continue
        if step.name == "tool.answered":
            latest = enumerate(untold[: -LOOKED_BACK - 1 : -1], 1)
            by = next((back for back, each in latest if _tells(each, step)), None)
            if by is not None:
                del untold[-by]  # by its place: to look for it would be to compare it with the whole log
                found.add(step.id)
        else:
            untold.append(step)
    return found


def _tells(event: Step, answer: Step) -> bool:
    """Whether `event` says why a call was answered as it was."""
    is_reason = event.name in TELLS.get(answer.attrs.get("error_type"), ())
    same_tool = event.attrs.get("tool", answer.attrs.get("tool")) == answer.attrs.get("tool")
    return is_reason and same_tool and mark_of(event) != MARKS["allow"]


# How it is drawn


def drawn(trace: Trace, *, quiet: bool = False, when: bool = False) -> Tree:
    """A trace as a tree. `quiet`: without nodes in which nothing is to be seen. `when`: with the time of each run."""
    from rich.text import Text
    from rich.tree import Tree

    sums = ", ".join([totals(trace.steps), *failures(trace.steps)])
    heading = Text.assemble(("Trace: ", "bold"), plain(trace.thread_id or trace.id), f" ({sums})")
    root = Tree(heading, guide_style="dim")
    waiting = [(root, branch) for branch in reversed(trace.runs)]
    while waiting:  # Not by recursion: subgraphs may nest deeper than Python does.
        above, branch = waiting.pop()
        mark, style = mark_of(branch.step)
        label = Text.assemble((mark, style), " ", name_of(branch.step))
        if said := [*began(branch.step, when), *details(branch.step)]:
            label.append(f" [{', '.join(said)}]", "dim" if style == "green" else style)
        here = above.add(label)
        waiting += [(here, each) for each in reversed(branch.below) if not quiet or has_news(each)]
    return root


def mark_of(step: Step) -> tuple[str, str]:
    """What stands before a step. An error that a recording answered with is shown as one."""
    has_failed = step.name == "tool.replayed" and step.attrs.get("status") == "error"
    status = "error" if has_failed else step.status
    return MARKS.get(status, ("?", "white"))


def has_news(branch: Branch) -> bool:
    step = branch.step
    return bool(branch.below) or step.kind not in ("node", "chain") or step.status != "ok"


def totals(steps: Sequence[Step]) -> str:
    costs = [step.cost_micro_usd for step in steps if step.cost_micro_usd is not None]
    tokens = f"{sum(step.tokens for step in steps):,} tokens"
    cost = [money(sum(costs))] if costs else []
    return ", ".join([tokens, *cost, f"{len(steps)} step{'' if len(steps) == 1 else 's'}"])


def failures(steps: Sequence[Step]) -> list[str]:
    """What went wrong, at a glance: what raised, and what was left alone since."""
    tools = sum(step.kind == "tool" and step.status == "error" for step in steps)
    models = sum(step.kind == "llm" and step.status == "error" for step in steps)
    opened = sum(step.status == "trip" for step in steps)
    said = ((tools, "tool call"), (models, "model call"))
    failed = [f"{count:,} {what}{'' if count == 1 else 's'} failed" for count, what in said if count]
    return [*failed, *([f"{opened:,} circuit{'' if opened == 1 else 's'} opened"] if opened else [])]


def began(step: Step, when: bool) -> list[str]:
    return [moment(step.ts)] if when and step.kind == "run" else []


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
    if step.attrs.get(CHARGED):
        parts.append("charged as reserved")
    if step.kind == "guard":
        parts += guarded(step)
    elif step.status == "error":
        parts.append(": ".join(plain(each) for each in (step.error_type, step.error) if each) or "error")
    elif step.kind in ("interrupt", "feedback"):
        parts += said_of(step) or [step.status]
    if ended := step.attrs.get("ended"):
        parts.append(f"ended: {plain(str(ended))}")
    return [clipped(part) for part in parts]


def guarded(step: Step) -> list[str]:
    """A guard's word and what it said. That it let something happen is what the mark before it says."""
    said = said_of(step)
    status = [] if step.status == "allow" and said else [step.status]
    return list(dict.fromkeys([*status, *said]))  # "warn" once, where that is what it said


def said_of(step: Step) -> list[str]:
    """What a guard said, in words where there are words for it, else as it said it; what a person did."""
    if step.kind == "feedback":
        return [plain(each) for each in (f"score {step.attrs.get('score')}", step.result) if each]
    said = words(step.name, step.attrs)
    if said is not None:
        return [plain(each) for each in said]
    facts = (f"{name} {value}" for name, value in step.attrs.items() if value not in (None, "", False) and name != "v")
    return [plain(each) for each in facts]


def money(micro_usd: int) -> str:
    """Four digits below a dollar, two from there on; what is less than that shows all it has."""
    if micro_usd >= 1_000_000:
        return f"${micro_usd / 1e6:,.2f}"
    return f"${micro_usd / 1e6:.6f}" if 0 < micro_usd < 100 else f"${micro_usd / 1e6:.4f}"


def took(ms: float) -> str:
    if ms >= 100_000:
        return f"{ms / 1_000:,.0f} s"
    return f"{ms / 1_000:.1f} s" if ms >= 10_000 else f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def clipped(said: str) -> str:
    return said if len(said) <= MOST_CHARS else f"{said[: MOST_CHARS - 1]}…"


def plain(said: str) -> str:
    """On one line, with what is not printable written out: a terminal obeys what it is sent."""
    if said.isprintable():
        return said
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in said)
