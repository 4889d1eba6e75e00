"""Executions that began and whose end nobody knows: found in the log, looked up, and resolved by who has looked.

The outbox knows executions by key and has no list of them. The log has each beginning and end; the key is told by the
request that an execution belongs to. Those without a request are counted, and named by thread, call and digest.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.cli.approvals import screen, store
from langgraph_guard.cli.approvals.screen import Screen
from langgraph_guard.cli.approvals.text import cell
from langgraph_guard.cli.budgets.tables import moment
from langgraph_guard.policies.approval.chain import Deed
from langgraph_guard.policies.approval.commands import Approval
from langgraph_guard.policies.outbox import EffectKey, Execution, LookUp, Resolve
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.answer import Answer
from langgraph_guard.tools.results.result import ToolResult

OPEN = ("started", "in_doubt")


class Doubt(NamedTuple):
    """An execution, and the request that it belongs to."""

    approval: Approval
    key: EffectKey
    execution: Execution


def show(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    begun = _begun(store.log(backend).deeds)
    named = list(_named(backend, begun))
    found = [each for each in named if each.execution.state == "in_doubt"]
    nameless = len(begun) - len(named)
    told = {"in_doubt": [_as_json(each) for each in found], "without_a_request": nameless}
    shown.show(told, _table(found), *([_nameless(nameless)] if nameless else []))
    return 0


def resolve(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    key, tool = _key(said, backend)
    known: Any = _look(backend, key)
    if known is None or known.state != "in_doubt":
        state = "unknown" if known is None else known.state
        shown.show({"resolved": False, "state": state}, f"it is not in doubt: {state.replace('_', ' ')}")
        return 1
    result = None if said.not_happened else _kept(said.happened, key, tool)
    (after,) = backend.outbox.execute([Resolve(key, said.by, result, said.reason)])
    assert isinstance(after, Execution)
    state = "failed" if result is None else "done"
    line = "it did not happen, and may be done again" if result is None else "it happened, and is not done again"
    if after.state != state:
        shown.show({"resolved": False, "state": after.state}, "somebody else was first")
        return 1
    shown.show({"resolved": True, "state": state}, line)
    return 0


def _begun(deeds: tuple[Deed, ...]) -> list[Deed]:
    """The last record of each execution that has begun and not ended."""
    last = {deed.subject: deed for deed in deeds}
    return [deed for deed in last.values() if deed.kind in OPEN]


def _named(backend: ApprovalBackend, begun: list[Deed]) -> Iterator[Doubt]:
    """Those whose request the desk knows."""
    approvals = {each.id: each for each in store.approvals(backend, (deed.detail for deed in begun if deed.detail))}
    for deed in begun:
        if (approval := approvals.get(deed.detail)) is not None:
            key = EffectKey(backend.tenant, approval.thread, approval.call_id, deed.digest)
            if (execution := _look(backend, key)) is not None:
                yield Doubt(approval, key, execution)


def _look(backend: ApprovalBackend, key: EffectKey) -> Execution | None:
    (found,) = backend.outbox.execute([LookUp(key)])
    return found if isinstance(found, Execution) else None


def _key(said: Namespace, backend: ApprovalBackend) -> tuple[EffectKey, str]:
    """Which execution is meant, and its tool, as far as it is known."""
    if said.id is None:
        return EffectKey(backend.tenant, said.thread, said.call, said.digest), ""
    approval = store.found(backend, said.id)
    return EffectKey(backend.tenant, approval.thread, approval.call_id, approval.digest), approval.tool


def _kept(result: str, key: EffectKey, tool: str) -> str:
    """What the model is told when the run comes to this call again. Empty says that it happened, and no more."""
    return kept.dump(Answer(ToolResult.success(result).to_message(key.call_id, tool or None))) if result else ""


def _table(found: list[Doubt]) -> RenderableType:
    if not found:
        return Text("no execution is in doubt")
    table = Table(box=None, pad_edge=False)
    for name in ("approval", "tool", "thread", "call", "began", "key given to the service"):
        table.add_column(name, no_wrap=name in ("approval", "began"))
    for approval, key, execution in found:
        words = [cell(each, 40) for each in (approval.tool, approval.thread, key.call_id)]
        table.add_row(approval.id, *words, moment(execution.at), key.idempotency_key)
    return table


def _nameless(count: int) -> str:
    return f"{count} more began, and needed no approval: `log` has them; resolve --thread … --call … --digest …"


def _as_json(found: Doubt) -> dict[str, Any]:
    at = {"began": found.execution.at, "idempotency_key": found.key.idempotency_key}
    return {"approval": screen.as_json(found.approval), **found.key._asdict(), **at}
