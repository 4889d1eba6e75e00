"""How a run enters its turn: which it is, how much of it has passed, and what the ledger must be told."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_guard.nodes.guard import messages_of, opener, read
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.nodes.runs import Run, namespace, step_of
from langgraph_guard.policies import turns
from langgraph_guard.policies.budget import LEDGER_UNITS, Identity, meters
from langgraph_guard.policies.ledger import TURN, Account, Command, EnsureAtLeast, OpenTurn


@dataclass(frozen=True, slots=True)
class Entrance:
    """The turn as it stands now, the accounts that count it, and the commands that open it where it was not open."""

    turn: dict[str, Any]
    counters: tuple[Account, ...]
    commands: tuple[Command, ...]


def enter(
    meter: Meter, state: Any, config: RunnableConfig, run: Run | None, who: Identity, messages_key: str
) -> Entrance:
    """The turn that `run` is in. The first visit of a run fixes it; later ones only bring time and steps up to now."""
    stored = read(state, "guard_turn") or {}
    counters = tuple(account for unit in LEDGER_UNITS for account in meters(who, unit))
    first = run is None or run.turn is None
    turn = _open(stored, state, run, messages_key, meter.now_ms()) if first or not stored else dict(stored)
    if run is not None:
        turn = _bring_up(turn, run, config, meter.now_ms(), first)
    commands = _commands(who, turn, read(state, "guard_usage") or {}, counters) if first else ()
    return Entrance(turn, counters, commands)


def _open(stored: dict[str, Any], state: Any, run: Run | None, messages_key: str, now_ms: int) -> dict[str, Any]:
    resuming = run is not None and (run.resuming or run.turn is not None)
    fresh = run.id if run else f"turn-{uuid.uuid4().hex}"
    by = opener(messages_of(state, messages_key))
    if by is None and not resuming and read(state, messages_key) is None:
        by = fresh  # A host without messages: each run that brings input is a turn.
    return turns.enter(stored, by, resuming=resuming, fresh=fresh, now_ms=now_ms)


def _bring_up(turn: dict[str, Any], run: Run, config: RunnableConfig, now_ms: int, first: bool) -> dict[str, Any]:
    ns, step = namespace(config), step_of(config)
    if first:
        run.turn = (turn["id"], turn["seq"])
        run.zero_ms = now_ms - turn.get("active_ms", 0)
    zero = run.zero_steps.setdefault(ns, step - turn.get("steps", 0))
    return turns.passed(turn, active_ms=run.active_ms(now_ms), steps=step - zero)


def _commands(
    who: Identity, turn: dict[str, Any], used: dict[str, Any], counters: tuple[Account, ...]
) -> tuple[Command, ...]:
    """Open the turn, and raise the counters to what the checkpoint knows: a ledger may have forgotten."""
    if not who.session:
        return ()
    known = {TURN: used.get("turn", {}) if used.get("turn_id") == turn["id"] else {}, None: used.get("session", {})}
    raised = (EnsureAtLeast(c, known[c.window].get(c.unit, 0), turn["id"]) for c in counters)
    return (OpenTurn(who.tenant, who.session, turn["id"], turn["seq"]), *(each for each in raised if each.total))
