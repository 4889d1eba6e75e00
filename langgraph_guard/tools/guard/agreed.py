"""A call that people may have a say in: what was approved is what runs."""

from __future__ import annotations

import json
from typing import Final

from langgraph_guard.errors import ActionRefused, StoreError
from langgraph_guard.events import emit
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Approval, Look
from langgraph_guard.policies.outbox import Unapproved
from langgraph_guard.tools.approvals import Approvals, Place
from langgraph_guard.tools.guard.answer import Answer, answer
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.guard.executions import Executions, Make, away, untold
from langgraph_guard.tools.guard.running import Ask, ToolFlow
from langgraph_guard.tools.results.result import ToolResult

NOBODY: Final = "{name} needs a person's approval, and there is none."
OPEN: Final = "{name} needs a person's approval, and nobody has decided yet."
CHANGED: Final = "{name} was approved with other arguments. It did not run."
REFUSED: Final = "{name} was {state}. It did not run."


class Agreed:
    """Runs calls as the desk allows, and those with side effects once."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals
        self._executions = Executions(approvals.tenant, lambda: approvals.outbox)

    def make(self, call: GuardedCall, make: Make) -> ToolFlow:
        """What the call comes to. `make` runs it."""
        concerned = call.has_effects or self._approvals.policy.concerns(call.name)
        try:
            action = Action(call.name, call.args)
        except ActionRefused as refused:
            return untold(call, refused) if concerned else (yield from make(call))
        needs = self._approvals.rule(action, tainted=_tainted(call)).effect != "allow"
        if not call.thread:  # Nobody can have been asked, and no outbox could tell this call from another run's.
            return _denied(call, None) if needs else (yield from make(call))
        if not (concerned or needs):
            return (yield from make(call))
        # Of a tool without a contract nobody knows that it has no side effects.
        once = call.has_effects or call.contract is None
        try:
            return (yield from (self._once if once else self._looked_at)(call, action, needs, make))
        except StoreError as error:
            if call.made:
                raise
            return away(call, error)

    def _looked_at(self, call: GuardedCall, action: Action, needs: bool, make: Make) -> ToolFlow:
        """A call without side effects: only what people said of it."""
        id = self._approvals.id_of(action, _place(call), call.id)
        (((approval,),),) = yield [Ask(self._approvals.desk, [Look(self._approvals.tenant, (id,))])]
        if approval is None and not needs:
            return (yield from make(call))
        if approval is None or not approval.may_run:
            return _denied(call, approval)
        return (yield from make(_as_approved(call, approval)))

    def _once(self, call: GuardedCall, action: Action, needs: bool, make: Make) -> ToolFlow:
        id = self._approvals.id_of(action, _place(call), call.id)
        found = yield from self._executions.once(call, action.digest, make, approval=id, required=needs)
        if isinstance(found, Unapproved) and (other := found.approval) and other.may_run and other.edited:
            edited = _as_approved(call, other)
            found = yield from self._executions.once(edited, other.digest, make, approval=id, required=True)
        return _denied(call, found.approval) if isinstance(found, Unapproved) else found


def _as_approved(call: GuardedCall, approval: Approval) -> GuardedCall:
    """The call with the arguments that were approved."""
    if not approval.edited:
        return call
    tool_call = call.request.tool_call.copy()
    tool_call["args"] = json.loads(approval.args)
    call.request = call.request.override(tool_call=tool_call)
    return call


def _denied(call: GuardedCall, approval: Approval | None) -> Answer:
    reason, message = _why(approval)
    emit("effect.refused", tool=call.name, reason=reason)
    state = approval.state if approval else ""
    return answer(call, ToolResult.error("denied", message.format(name=call.name, state=state)))


def _why(approval: Approval | None) -> tuple[str, str]:
    if approval is None:
        return "nobody", NOBODY
    if approval.is_open:
        return "open", OPEN
    return ("changed", CHANGED) if approval.may_run else (approval.state, REFUSED)


def _tainted(call: GuardedCall) -> bool:
    return bool(call.known.get("guard_taint"))


def _place(call: GuardedCall) -> Place:
    info = call.request.runtime.execution_info
    return Place.of(call.thread, info.checkpoint_ns if info else "")
