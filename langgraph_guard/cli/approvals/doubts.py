"""Executions that began and whose end nobody knows: listed, looked up, and resolved by who has looked."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.cli.approvals import screen, store
from langgraph_guard.cli.approvals.screen import Screen
from langgraph_guard.cli.approvals.text import cell, cut, legible, line
from langgraph_guard.cli.budgets.tables import moment
from langgraph_guard.policies.approval.commands import Approval
from langgraph_guard.policies.outbox import Doubt, EffectKey, Execution, LookUp, Resolve
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.answer import Answer
from langgraph_guard.tools.results.result import ToolResult


class Known(NamedTuple):
    """An execution in doubt, and the request that it belongs to, if it needed one that is not forgotten."""

    doubt: Doubt
    approval: Approval | None


def show(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    doubts = list(store.doubts(backend))
    approvals = {each.id: each for each in store.approvals(backend, (each.execution.approval for each in doubts))}
    found = [Known(each, approvals.get(each.execution.approval)) for each in doubts]
    shown.show({"in_doubt": [_as_json(each) for each in found]}, _table(found))
    return 0


def resolve(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    key, tool = _key(said.id, backend)
    known = _look(backend, key)
    if known is None or known.state != "in_doubt":
        state = "unknown" if known is None else known.state
        shown.show({"resolved": False, "state": state}, f"it is not in doubt: {state.replace('_', ' ')}")
        return 1
    result = None if said.not_happened else _kept(said.happened, key, tool)
    (after,) = backend.outbox.execute([Resolve(key, said.by, result, said.reason)])
    assert isinstance(after, Execution)
    state = "failed" if result is None else "done"
    told = "it did not happen, and may be done again" if result is None else "it happened, and is not done again"
    if after.state != state:
        shown.show({"resolved": False, "state": after.state}, "somebody else was first")
        return 1
    shown.show({"resolved": True, "state": state}, told)
    return 0


def _look(backend: ApprovalBackend, key: EffectKey) -> Execution | None:
    (found,) = backend.outbox.execute([LookUp(key)])
    return found if isinstance(found, Execution) else None


def _key(id: str, backend: ApprovalBackend) -> tuple[EffectKey, str]:
    """Which execution is meant, and its tool, as far as it is known: by the key that `doubts` shows, or by the id of
    the request that it belongs to."""
    for key, execution in store.doubts(backend):
        if id and id in (key.idempotency_key, execution.approval):
            found = store.approvals(backend, [execution.approval])
            return key, found[0].tool if found else ""
    approval = store.found(backend, id)
    return EffectKey(backend.tenant, approval.thread, approval.call_id, approval.digest), approval.tool


def _kept(result: str, key: EffectKey, tool: str) -> str:
    """What the model is told when the run comes to this call again. Empty says that it happened, and no more."""
    return kept.dump(Answer(ToolResult.success(result).to_message(key.call_id, tool or None))) if result else ""


def _table(found: Sequence[Known]) -> RenderableType:
    if not found:
        return Text("no execution is in doubt")
    table = Table(box=None, pad_edge=False)
    table.add_column("key given to the service", no_wrap=True, overflow="ellipsis")
    table.add_column("call", overflow="fold")
    for each in found:
        table.add_row(_brief(each.doubt), _call(each.approval))
    return table


def _brief(doubt: Doubt) -> Text:
    key, execution = doubt
    under = f"request {legible(execution.approval)}\n" if execution.approval else ""
    where = f"thread {cut(key.thread, 32)}\ncall {cut(key.call_id, 32)}\n"
    return Text(f"{key.idempotency_key}\n{under}{where}since {moment(execution.ends_at)}\n")


def _call(approval: Approval | None) -> Text:
    if approval is None:
        return Text("nobody was asked about it")
    return cell(f"{legible(approval.tool)}({line(approval.args)})", None)


def _as_json(found: Known) -> dict[str, Any]:
    (key, execution), approval = found
    told = {name: getattr(execution, name) for name in ("owner", "at", "ends_at")}
    request = None if approval is None else screen.as_json(approval)
    return {**key._asdict(), "idempotency_key": key.idempotency_key, **told, "approval": request}
