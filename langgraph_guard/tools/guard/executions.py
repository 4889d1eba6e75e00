"""Calls with side effects, at most once whatever crashes: claimed at the outbox before, and their end written down."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from langgraph_guard.backends.protocols import Outbox
from langgraph_guard.errors import ActionRefused, StoreError
from langgraph_guard.events import emit
from langgraph_guard.policies.approval.actions import Action
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
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.answer import Answer, answer, replace_message
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.guard.running import Ask, Consult, Pause, ToolFlow
from langgraph_guard.tools.results.result import ToolResult

_log = logging.getLogger(__name__)

LEASE: Final = 300.0
"""Seconds for a call without a timeout."""

MARGIN: Final = 60.0
"""Seconds that an execution may take beyond what its contract allows for: waits between attempts, a slow machine. One
that takes longer is in doubt for whoever comes second, and is not begun again."""

PATIENCE: Final = 120.0
"""Seconds at the most that somebody else's execution is waited for: a dead one looks the same until its lease ends."""

SHORTEST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at it."""

RECONCILES: Final = "reconcile"
"""Who it is that resolves an execution by asking the contract's own function."""

UNDER_WAY: Final = "{name} was called before with this id, and has not ended: its outcome is not known yet."
IN_DOUBT: Final = (
    "Whether {name} took effect is in doubt: it began, and nobody knows how it ended. It is not done again before a"
    " person has looked. Do not call it again."
)
MADE_BEFORE: Final = (
    "This call was not made: an earlier one had its id and its arguments. Ask for it with another id if it is wanted"
    " again. What the earlier one came to:"
)
UNTOLD: Final = "The arguments of {name} cannot be told exactly: {field} {problem}."
NO_STORE: Final = "{name} cannot be called now: what makes sure that it happens at most once does not answer."

Make = Callable[[GuardedCall], ToolFlow]
Outcome = Generator[Sequence[Any], list[Any], "Answer | Unapproved"]


class Executions:
    """What `ToolGuard` has an outbox for."""

    def __init__(self, tenant: str, outbox: Callable[[], Outbox]) -> None:
        self._tenant = tenant
        self._outbox = outbox

    def make(self, call: GuardedCall, make: Make) -> ToolFlow:
        """What the call comes to, where nobody has to approve it. `make` runs it."""
        if not call.has_effects:
            return (yield from make(call))
        try:
            action = Action(call.name, call.args)
        except ActionRefused as refused:
            return untold(call, refused)
        try:
            found = yield from self.once(call, action.digest, make)
        except StoreError as error:
            if call.made:
                raise
            return away(call, error)
        assert isinstance(found, Answer), "only an approval can be missing"
        return found

    def once(
        self, call: GuardedCall, digest: str, make: Make, *, approval: str = "", required: bool = False
    ) -> Outcome:
        """The outcome of the execution, this one's or an earlier one's; `Unapproved` when a request is in the way.

        Raises `StoreError` when it could not be claimed: then nothing ran.
        """
        key = EffectKey(self._tenant, call.thread, call.id, digest)
        claim = Claim(key, uuid.uuid4().hex, _lease(call), approval, required)
        reply = yield from self._tell(claim)
        if isinstance(reply, Execution) and reply.state == "in_doubt":
            found = yield from self._reconciled(call, key)
            if found is not None:
                return found
            reply = yield from self._tell(claim)
        if isinstance(reply, Execution) and reply.state == "started":
            reply = yield from self._waited(call, claim, reply)
        if isinstance(reply, Claimed):
            return (yield from self._claimed(call, key, reply.fence, make))
        if isinstance(reply, Execution):
            return _known(call, key, reply)
        assert isinstance(reply, Unapproved)
        return reply

    def _waited(
        self, call: GuardedCall, claim: Claim, reply: OutboxReply
    ) -> Generator[Sequence[Any], list[Any], OutboxReply]:
        """What is known when somebody else's execution has ended, so that both have its result; or when it has taken
        as long as it may."""
        left, pause = _patience(call), SHORTEST_PAUSE
        while left > 0 and isinstance(reply, Execution) and reply.state == "started":
            yield [Pause(min(pause, left))]
            left, pause = left - pause, min(2 * pause, LONGEST_PAUSE)
            reply = yield from self._tell(claim)
        return reply

    def _claimed(self, call: GuardedCall, key: EffectKey, fence: int, make: Make) -> ToolFlow:
        emit("effect.claimed", tool=call.name, attempt=fence)
        call.idempotency_key = key.idempotency_key
        try:
            found = yield from make(call)
        except GraphBubbleUp as signal:
            # A tool that asks a person begins again with the answer; one that sends its graph elsewhere has ended.
            # LangGraph gives a task's answers by the order of its questions, and what is done asks no more: two tools
            # of one message that both ask need a task each, by `Send`, or one may be given the other's answer.
            happened = call.made and not isinstance(signal, GraphInterrupt)
            yield from self._tell(Failed(key, fence, happened=happened))
            raise  # What else is raised leaves it begun: a call that was cancelled may have happened.
        yield from self._end(call, key, fence, found)
        return found

    def _end(self, call: GuardedCall, key: EffectKey, fence: int, found: Answer) -> Generator[Any, Any, None]:
        """Write down how it ended. What cannot be written stays begun, and is in doubt when its lease ends."""
        state = _ending(call, found)
        try:
            if state == "done":
                yield from self._tell(Done(key, fence, kept.dump(found)))
            else:
                yield from self._tell(Failed(key, fence, happened=state == "in_doubt"))
        except StoreError as error:
            _log.warning("how a call of %s ended could not be written down: %s", call.name, error)
            return
        emit("effect.ended", tool=call.name, state=state)

    def _reconciled(self, call: GuardedCall, key: EffectKey) -> Generator[Sequence[Any], list[Any], Answer | None]:
        """Ask the contract what became of an execution. Its result, when it took effect; else `None`, and that it did
        not is written down."""
        reconcile = call.contract.reconciler if call.contract else None
        if reconcile is None:
            return None
        assert call.contract is not None
        try:
            (result,) = yield [Consult(reconcile, key.idempotency_key, call.contract.timeout)]
        except Exception as error:
            _log.warning("reconcile of %s failed with %s", call.name, type(error).__name__)
            return None
        if result is None:
            return None
        if result is False:
            yield from self._tell(Resolve(key, RECONCILES, None))
            return None
        found = answer(call, result if isinstance(result, ToolResult) else ToolResult.success(result))
        text = kept.dump(found)
        reply = yield from self._tell(Resolve(key, RECONCILES, text))
        if isinstance(reply, Execution) and reply.state == "done" and reply.result != text:
            return _known(call, key, reply)  # Somebody else was first, and everybody has that result.
        emit("effect.found", tool=call.name, state="done")
        return found

    def _tell(self, command: Any) -> Generator[Sequence[Any], list[Any], OutboxReply]:
        ((reply,),) = yield [Ask(self._outbox(), [command])]
        return reply  # type: ignore[no-any-return]  # an executor answers anything


def untold(call: GuardedCall, refused: ActionRefused) -> Answer:
    """The answer to a call whose arguments have no one text."""
    problem = UNTOLD.format(name=call.name, field=refused.field, problem=refused.problem)
    return answer(call, ToolResult.error("validation", problem))


def away(call: GuardedCall, error: StoreError) -> Answer:
    """The answer to a call that nothing runs without, because the store does not answer."""
    _log.warning("the approval desk or the outbox does not answer: %s", error)
    return answer(call, ToolResult.error("transient", NO_STORE.format(name=call.name), retry_safe=True), error)


def _ending(call: GuardedCall, found: Answer) -> str:
    result = found.result
    if not call.made:
        return "failed"
    if result is not None and result.error_type == "timeout":
        return "in_doubt"
    return "failed" if result is not None and found.failed and result.retry_safe else "done"


def _known(call: GuardedCall, key: EffectKey, execution: Execution) -> Answer:
    """The answer to a call that was made before."""
    emit("effect.found", tool=call.name, state=execution.state)
    if execution.state == "done":
        found = kept.load(call, execution.result)
        return _made_before(call, found) if call.asked.repeats(call.id) else found
    message = (UNDER_WAY if execution.state == "started" else IN_DOUBT).format(name=call.name)
    found = answer(call, ToolResult.error("timeout", message, retry_safe=False))
    # For whoever looks at the thread: this is what a person resolves.
    effect = {"call_id": key.call_id, "digest": key.digest, "idempotency_key": key.idempotency_key}
    found.output = replace_message(found.output, artifact={**found.output.artifact, "effect": effect})
    return found


def _made_before(call: GuardedCall, found: Answer) -> Answer:
    """The answer to a call of a model that uses an id again. Nothing that stays the same when a step runs again tells
    this call from the first, so it is not made; and the model, and whoever reads the log, are told."""
    _log.warning("%s was asked for again with the id of an earlier call: it was not made again", call.name)
    if isinstance(found.output, ToolMessage):
        content = found.output.content
        said = f"{MADE_BEFORE} {content}" if isinstance(content, str) else [MADE_BEFORE, *content]
        found.output = replace_message(found.output, content=said)
    return found


def _longest(call: GuardedCall) -> float | None:
    return None if call.contract is None else call.contract.timeout * call.contract.attempts


def _patience(call: GuardedCall) -> float:
    return min(PATIENCE, _longest(call) or PATIENCE)


def _lease(call: GuardedCall) -> float:
    longest = _longest(call)
    return LEASE if longest is None else longest + MARGIN
