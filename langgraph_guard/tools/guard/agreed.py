"""A call that people may have a say in, or that must not happen twice: what was approved is what runs, once."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from langgraph.errors import GraphBubbleUp

from langgraph_guard.errors import ActionRefused, StoreError
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Approval, Look
from langgraph_guard.policies.outbox import (
    Claim,
    Claimed,
    Done,
    EffectKey,
    Execution,
    Failed,
    OutboxReply,
    Resolve,
    Unapproved,
)
from langgraph_guard.tools.approvals import Approvals, Place
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.answer import Answer, answer
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.guard.running import Ask, ToolFlow
from langgraph_guard.tools.results.result import ToolResult

_log = logging.getLogger(__name__)

LEASE: Final = 300.0
"""Seconds for a call without a timeout."""

MARGIN: Final = 60.0
"""Seconds that an execution may take beyond what its contract allows for: waits between attempts, a slow machine."""

UNDER_WAY: Final = "{name} was called before with this id, and has not ended: its outcome is not known yet."
IN_DOUBT: Final = (
    "Whether {name} took effect is in doubt: it began, and nobody knows how it ended. It is not done again before a"
    " person has looked. Do not call it again."
)
NOBODY: Final = "{name} needs a person's approval, and there is none."
OPEN: Final = "{name} needs a person's approval, and nobody has decided yet."
CHANGED: Final = "{name} was approved with other arguments. It did not run."
NO_STORE: Final = "{name} cannot be called now: what makes sure that it happens at most once does not answer."

Make = Callable[[GuardedCall], ToolFlow]


class Agreed:
    """Runs calls as the desk and the outbox allow."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def make(self, call: GuardedCall, make: Make) -> ToolFlow:
        """What the call comes to. `make` runs it."""
        concerned = call.has_effects or self._approvals.policy.concerns(call.name)
        try:
            action = Action(call.name, call.args)
        except ActionRefused as refused:
            if not concerned:
                return (yield from make(call))
            problem = f"The arguments of {call.name} cannot be told exactly: {refused.field} {refused.problem}."
            return answer(call, ToolResult.error("validation", problem))
        needs = self._approvals.rule(action, tainted=_tainted(call)).effect != "allow"
        if not (concerned or needs):
            return (yield from make(call))
        # Of a tool without a contract nobody knows that it has no side effects.
        once = call.has_effects or call.contract is None
        try:
            return (yield from (self._once if once else self._looked_at)(call, action, needs, make))
        except StoreError as error:
            if call.made:
                raise
            _log.warning("the approval desk or the outbox does not answer: %s", error)
            return answer(call, ToolResult.error("transient", NO_STORE.format(name=call.name), retry_safe=True), error)

    # Calls without side effects: only what people said of them

    def _looked_at(self, call: GuardedCall, action: Action, needs: bool, make: Make) -> ToolFlow:
        id = self._approvals.id_of(action, _place(call), call.id)
        (((approval,),),) = yield [Ask(self._approvals.desk, [Look(self._approvals.tenant, (id,))])]
        if approval is None and not needs:
            return (yield from make(call))
        if approval is None or not approval.may_run:
            return answer(call, ToolResult.error("denied", _why(call, approval)))
        return (yield from make(_as_approved(call, approval)))

    # Calls with side effects

    def _once(self, call: GuardedCall, action: Action, needs: bool, make: Make) -> ToolFlow:
        id = self._approvals.id_of(action, _place(call), call.id)
        claim = Claim(self._effect(call, action.digest), uuid.uuid4().hex, _lease(call), id, needs)
        reply = yield from self._tell(claim)
        if isinstance(reply, Unapproved) and (found := reply.approval) and found.may_run and found.edited:
            call = _as_approved(call, found)
            claim = Claim(self._effect(call, found.digest), claim.owner, claim.lease, id, True)
            reply = yield from self._tell(claim)
        if isinstance(reply, Claimed):
            return (yield from self._claimed(call, claim.key, reply.fence, make))
        if isinstance(reply, Execution):
            return (yield from self._known(call, claim.key, reply))
        approval = reply.approval if isinstance(reply, Unapproved) else None
        return answer(call, ToolResult.error("denied", _why(call, approval)))

    def _claimed(self, call: GuardedCall, key: EffectKey, fence: int, make: Make) -> ToolFlow:
        call.idempotency_key = key.idempotency_key
        try:
            found = yield from make(call)
        except GraphBubbleUp:
            yield from self._tell(Failed(key, fence, happened=False))
            raise  # What else is raised leaves it begun: a call that was cancelled may have happened.
        yield from self._end(call, key, fence, found)
        return found

    def _end(self, call: GuardedCall, key: EffectKey, fence: int, found: Answer) -> Generator[Any, Any, None]:
        """Write down how it ended. What cannot be written stays begun, and is in doubt when its lease ends."""
        retry_safe = found.result is not None and found.result.retry_safe and found.failed
        in_doubt = found.result is not None and found.result.error_type == "timeout"
        try:
            if not call.made or (retry_safe and not in_doubt):
                yield from self._tell(Failed(key, fence, happened=False))
            elif in_doubt:
                yield from self._tell(Failed(key, fence, happened=True))
            else:
                yield from self._tell(Done(key, fence, kept.dump(found)))
        except StoreError as error:
            _log.warning("how a call of %s ended could not be written down: %s", call.name, error)

    def _known(self, call: GuardedCall, key: EffectKey, execution: Execution) -> ToolFlow:
        if execution.state == "done":
            return kept.load(call, execution.result)
        if execution.state == "started":
            message = UNDER_WAY.format(name=call.name)
            return answer(call, ToolResult.error("timeout", message, retry_safe=False))
        reconcile = call.contract.reconciler if call.contract else None
        if reconcile is not None:
            found = _reconciled(call, key, reconcile)
            if found is not None:
                yield from self._tell(Resolve(key, "reconcile", kept.dump(found)))
                return found
        return answer(call, ToolResult.error("timeout", IN_DOUBT.format(name=call.name), retry_safe=False))

    def _effect(self, call: GuardedCall, digest: str) -> EffectKey:
        return EffectKey(self._approvals.tenant, call.thread, call.id, digest)

    def _tell(self, command: Any) -> Generator[Sequence[Any], list[Any], OutboxReply]:
        ((reply,),) = yield [Ask(self._approvals.outbox, [command])]
        return reply  # type: ignore[no-any-return]  # an executor answers anything


def _reconciled(call: GuardedCall, key: EffectKey, reconcile: Callable[..., Any]) -> Answer | None:
    """What the contract's `reconcile` knows: the result of a call that took effect; `None` when it cannot tell."""
    try:
        result = reconcile(key.idempotency_key)
    except Exception as error:
        _log.warning("reconcile of %s failed with %s", call.name, type(error).__name__)
        return None
    if result is None:
        return None
    found = result if isinstance(result, ToolResult) else ToolResult.success(result)
    return answer(call, found)


def _as_approved(call: GuardedCall, approval: Approval) -> GuardedCall:
    """The call with the arguments that were approved."""
    if not approval.edited:
        return call
    tool_call = call.request.tool_call.copy()
    tool_call["args"] = json.loads(approval.args)
    call.request = call.request.override(tool_call=tool_call)
    return call


def _why(call: GuardedCall, approval: Approval | None) -> str:
    if approval is None:
        return NOBODY.format(name=call.name)
    if approval.is_open:
        return OPEN.format(name=call.name)
    if approval.may_run:
        return CHANGED.format(name=call.name)
    return f"{call.name} was {approval.state}. It did not run."


def _tainted(call: GuardedCall) -> bool:
    return bool(call.known.get("guard_taint"))


def _place(call: GuardedCall) -> Place:
    info = call.request.runtime.execution_info
    return Place.of(call.thread, info.checkpoint_ns if info else "")


def _lease(call: GuardedCall) -> float:
    contract = call.contract
    return LEASE if contract is None else contract.timeout * contract.attempts + MARGIN
