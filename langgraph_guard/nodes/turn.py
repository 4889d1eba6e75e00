"""How a run enters its turn: which it is, and what the ledger must be told about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_guard.nodes.runs import Run, namespace, step_of
from langgraph_guard.policies import turns
from langgraph_guard.policies.budget import LEDGER_UNITS, Identity, meters
from langgraph_guard.policies.ledger import TURN, Account, Command, EnsureAtLeast, OpenTurn
from langgraph_guard.state.views import messages_of, opener, read


def counters(who: Identity) -> tuple[Account, ...]:
    """The accounts that count what a session and its turn use, limited or not."""
    return tuple(account for unit in LEDGER_UNITS for account in meters(who, unit))


def enter(
    run: Run, state: Any, who: Identity, messages_key: str, now_ms: int, *, local: bool = False
) -> tuple[Command, ...]:
    """Fix the turn of `run` at its first visit. Returns the commands that open it in the ledger.

    The counters are raised to what the checkpoint knows, because the ledger may have forgotten, or be a new one.
    `local`: also while the ledger is away.
    """
    stored = read(state, "guard_turn") or {}
    by = opener(messages_of(state, messages_key), fallback=None if run.resuming else run.id)
    if by is None and not run.resuming and read(state, messages_key) is None:
        by = run.id  # A host without messages: each run that brings input is a turn.
    run.turn = turns.enter(stored, by, resuming=run.resuming, fresh=run.id, now_ms=now_ms)
    run.zero_ms -= run.turn["active_ms"]
    if not who.session:
        return ()
    opened = OpenTurn(who.tenant, who.session, run.turn["id"], run.turn["seq"], local)
    return opened, *_raised(counters(who), read(state, "guard_usage") or {}, run.turn["id"], local)


def passed(run: Run, state: Any, config: RunnableConfig, messages_key: str, now_ms: int) -> dict[str, Any]:
    """The turn of `run` with its time and steps brought up to now.

    A run that resumes goes on from the step of the visit before it: a thread's steps are counted through. A subgraph's
    begin anew in each run, so that those between its visits are all that is known.
    """
    assert run.turn is not None
    stored = read(state, "guard_turn") or {}
    turn = {**run.turn, **(stored if stored.get("id") == run.turn["id"] else {})}
    newest = opener(messages_of(state, messages_key))
    step, graph = step_of(config), namespace(config)
    last = 0 if graph else turn.get("last_step", 0)
    zero = run.zero_steps.setdefault(graph, (last or step) - turn.get("steps", 0))
    brought = turns.passed(turn, active_ms=run.active_ms(now_ms), steps=step - zero, newest=newest)
    return brought if graph else {**brought, "last_step": step}


def _raised(accounts: tuple[Account, ...], used: Mapping[str, Any], turn: str, local: bool) -> list[Command]:
    session = used.get("session", {})
    this_turn = used.get("turn", {}) if used.get("turn_id") == turn else {}
    totals = [(this_turn if account.window == TURN else session).get(account.unit) for account in accounts]
    known = zip(accounts, totals, strict=True)
    return [EnsureAtLeast(account, total, turn, local) for account, total in known if total]
