"""What a thread has used, and how its last run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from langgraph_guard.errors import ConfigError, show
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.finish import ending
from langgraph_guard.state.views import messages_of


@dataclass(frozen=True)
class GuardReport:
    """What the guards know of a thread. Amounts are integers: micro-USD, milliseconds, plain counts.

    `status` is `ok`, or why the guards stopped the current turn (`limit_cost`, …). `reason` says so in words, and where
    a step raised or waits for a person: what a step that raised has used is at the ledger, and in no checkpoint yet.
    `turn` and `session` are what each has used by unit; `decisions` are the newest warnings and refusals, oldest first.
    `turn["steps"]` are its supersteps from the gate's first on, which is what `Limit("steps", …)` counts; of a gate in
    a subgraph, and of a bare state, up to the gate's newest visit.
    """

    status: str = "ok"
    reason: str = ""
    turn: Mapping[str, int] = field(default_factory=dict)
    session: Mapping[str, int] = field(default_factory=dict)
    decisions: tuple[Mapping[str, Any], ...] = ()
    halt: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [self.reason or self.status]
        for name, used in (("turn", self.turn), ("session", self.session)):
            lines.append(f"  {name}: {', '.join(show(unit, amount) for unit, amount in used.items()) or 'nothing'}")
        return "\n".join(lines)


def guard_report(app: Any, config: RunnableConfig) -> GuardReport:
    """The report of the thread that `config` names, from its newest checkpoint. `app` is a compiled graph."""
    return _of_thread(app.get_state(_named(app, config)))


async def aguard_report(app: Any, config: RunnableConfig) -> GuardReport:
    """`guard_report` on an event loop."""
    return _of_thread(await app.aget_state(_named(app, config)))


def _named(app: Any, config: RunnableConfig | None) -> RunnableConfig:
    """`config`, if it names a thread, or if `app` was bound to one (`with_config`)."""
    configs = (config, getattr(app, "config", None))
    if all(((each or {}).get("configurable") or {}).get("thread_id") is None for each in configs):
        raise ConfigError("config", 'names no thread: pass {"configurable": {"thread_id": "…"}}')
    return {"configurable": {}, **(config or {})}


def _of_thread(snapshot: StateSnapshot) -> GuardReport:
    """What the gate knew at its newest visit, and the steps that came after it."""
    report = _standing(report_of(snapshot.values), snapshot)
    last = (snapshot.values.get("guard_turn") or {}).get("last_step")
    step = (snapshot.metadata or {}).get("step")
    if not last or step is None or step < last:
        return report
    return replace(report, turn={**report.turn, "steps": report.turn["steps"] + step - last + 1})


def _standing(report: GuardReport, snapshot: StateSnapshot) -> GuardReport:
    """What the guards did not see: a step that raised, and one that waits for people."""
    if report.status != "ok":
        return report
    for task in snapshot.tasks:
        error: Any = task.error  # savers differ in what they make of an exception
        if error:
            said = error if isinstance(error, str) else type(error).__name__
            kind = said.partition("(")[0]
            reason = f"failed: {task.name} raised {kind if kind.isidentifier() else 'an exception'}"
            return replace(report, reason=reason)
    waiting = next((task.name for task in snapshot.tasks if task.interrupts), None)
    return replace(report, reason=f"waiting: {waiting} asks a person") if waiting else report


def report_of(state: Any) -> GuardReport:
    """The report of a state: of a checkpoint's, or of one that a graph returned with `GuardState` in its schema."""
    values: Mapping[str, Any] = state if isinstance(state, Mapping) else vars(state)
    used, turn = values.get("guard_usage") or {}, values.get("guard_turn") or {}
    halt = verdicts.halted(values, messages_of(values)) or {}
    said = ending(halt) if halt else {"status": "ok", "reason": ""}
    time = {"seconds": turn["active_ms"]} if "active_ms" in turn else {}
    if turn.get("steps") or turn.get("last_step"):
        time["steps"] = turn.get("steps", 0)
    return GuardReport(
        status=said["status"],
        reason=said["reason"],
        turn={**used.get("turn", {}), **time} if used.get("turn_id") == turn.get("id") else dict(time),
        session=dict(used.get("session", {})),
        decisions=tuple(values.get("guard_decisions") or ()),
        halt=halt,
    )
