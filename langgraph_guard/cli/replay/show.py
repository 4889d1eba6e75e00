"""How a replay is told: step by step until it departs, then what it was and what it is, and the new run as a tree."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from langgraph_guard.cli.replay.running import Outcome
from langgraph_guard.cli.replay.trail import Stage, departure
from langgraph_guard.errors import GuardError
from langgraph_guard.observability import tree
from langgraph_guard.observability.redaction import Redactor


def told(outcome: Outcome, redactor: Redactor) -> RenderableType:
    fork = outcome.fork
    head = f"thread {fork.start.thread} from step {_first(outcome)}, replayed as {fork.thread}"
    return Group(
        Text(tree.plain(head), "bold"),
        *(Text(f"  {tree.plain(name)} is set", "cyan") for name in fork.changed),
        *_steps(outcome, redactor),
        Text(_ended(outcome, redactor), "bold"),
        *tree.trees(outcome.steps, quiet=True),
    )


def _first(outcome: Outcome) -> int:
    return int((outcome.fork.start.at.metadata or {}).get("step", 0)) + 1


def _steps(outcome: Outcome, redactor: Redactor) -> Iterator[Text]:
    at = departure(outcome.then, outcome.now)
    for stage in outcome.then[:at]:
        yield Text(f"  step {_name(stage)}: as before", "green")
    if at is None:
        return
    then, now = outcome.then[at : at + 1], outcome.now[at : at + 1]
    yield Text(f"  step {_name((then or now)[0])}: departs", "bold yellow")
    yield from _lines("then", then[0] if then else None, redactor)
    yield from _lines("now ", now[0] if now else None, redactor)
    more = len(outcome.now) - at - 1
    if more > 0:
        yield Text(f"  and {more} more step{'' if more == 1 else 's'} after it", "dim")


def _lines(when: str, stage: Stage | None, redactor: Redactor) -> Iterator[Text]:
    if stage is None:
        yield Text(f"    {when}: it had ended")
        return
    for line in stage.lines or ("nothing changed",):
        shown = tree.clipped(tree.plain(redactor.clip(line, tree.MOST_CHARS)))
        yield Text(f"    {when}: {', '.join(map(tree.plain, stage.nodes))}: {shown}")


def _name(stage: Stage) -> str:
    return f"{stage.step} ({', '.join(map(tree.plain, stage.nodes))})"


def _ended(outcome: Outcome, redactor: Redactor) -> str:
    if outcome.error is not None:
        kind = type(outcome.error).__name__
        said = f": {redactor.text(str(outcome.error))}" if isinstance(outcome.error, GuardError) else ""
        return tree.plain(f"it failed with {kind}{said}")
    if outcome.waits:
        return "it waits for somebody's answer"
    same = departure(outcome.then, outcome.now) is None
    return "it came to the same end" if same else "it came to its end"
