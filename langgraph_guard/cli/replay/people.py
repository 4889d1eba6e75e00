"""What people said in a thread, for its replay: their answers to interrupts, and their decisions at the approval desk.

Nobody is asked again. An answer is given to the question that it answered, in the same words; a decision holds for the
action that it was on, with the same arguments. What was never answered, or is asked otherwise now, waits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Interrupt

from langgraph_guard.backends.memory import MemoryDesk
from langgraph_guard.backends.memory.journal import Journal
from langgraph_guard.backends.protocols import ApprovalDesk, Clock
from langgraph_guard.cli.replay.trail import without_ids
from langgraph_guard.errors import ActionRefused
from langgraph_guard.policies.approval.actions import Action, approval_id
from langgraph_guard.policies.approval.commands import Approval, DeskCommand, DeskReply, Look, Request
from langgraph_guard.policies.approval.desk import Rows, Writes, approval_key

INTERRUPTED, RESUMED = "__interrupt__", "__resume__"
"""LangGraph's channels for what a task asked, and what it was answered."""


class Answers:
    """What interrupts of a thread were answered with. Each answer is given once."""

    def __init__(self, stored: Iterable[CheckpointTuple]) -> None:
        self._left: dict[str, list[Any]] = {}
        for found in reversed(list(stored)):
            for asked, said in _answered(found):
                self._left.setdefault(_question(asked.value), []).append(said)

    def to(self, asked: Iterable[Interrupt]) -> dict[str, Any]:
        """The answers to those of these that were answered, by the ids of the interrupts."""
        said: dict[str, Any] = {}
        for each in asked:
            if left := self._left.get(_question(each.value)):
                said[each.id] = left.pop(0)
        return said


def _answered(found: CheckpointTuple) -> Iterator[tuple[Interrupt, Any]]:
    """The question that each task of a checkpoint asked last, and what it was answered."""
    writes = found.pending_writes or ()
    asked = {task: value for task, channel, value in writes if channel == INTERRUPTED}
    for task, channel, value in writes:
        if channel == RESUMED and task in asked and isinstance(value, list) and value:
            for interrupt in asked[task][-1:]:
                yield interrupt, value[-1]


def _question(value: Any) -> str:
    return json.dumps(without_ids(value), sort_keys=True, default=repr)


class RecordedDesk:
    """The replay's own desk. A request that it does not know is closed as the thread's was, on the same action.

    `asked`: messages of the thread, with its calls. The desk of production is only looked at.
    """

    def __init__(self, thread: str, asked: Iterable[BaseMessage], production: ApprovalDesk, clock: Clock) -> None:
        self._thread = thread
        self._production = production
        self._journal = Journal(clock)
        self._desk = MemoryDesk(self._journal)
        self._ids: dict[tuple[str, str], list[str]] = {}
        for tool, digest, id in dict.fromkeys(_actions(asked)):
            self._ids.setdefault((tool, digest), []).append(id)
        self._given: set[str] = set()

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        for command in commands:
            if looked := self._looked_up(command):
                (found,) = self._production.execute([looked])
                self._adopt(command, found)
        return self._desk.execute(commands)

    async def aexecute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]:
        for command in commands:
            if looked := self._looked_up(command):
                (found,) = await self._production.aexecute([looked])
                self._adopt(command, found)
        return self._desk.execute(commands)

    def _looked_up(self, command: DeskCommand) -> Look | None:
        """Where the thread's own request for the action may be: the call's own first, then alike ones in order."""
        if not isinstance(command, Request):
            return None
        alike = self._ids.get((command.tool, command.digest)) or []
        calls = [*(id for id in alike if id == command.call_id), *(id for id in alike if id != command.call_id)]
        ids = [approval_id(command.tenant, self._thread, command.ns, id, command.digest) for id in calls]
        return Look(command.tenant, tuple(ids)) if ids else None

    def _adopt(self, command: DeskCommand, found: Any) -> None:
        """Lay the first decision that was not given yet down as the decision on this request."""
        assert isinstance(command, Request)
        ((known,),) = self._desk.execute([Look(command.tenant, (command.id,))])  # type: ignore[misc]
        closed = [each for each in found if each is not None and _is_decided(each) and each.id not in self._given]
        if known is None and closed:
            self._given.add(closed[0].id)
            decided = closed[0]._replace(id=command.id, thread=command.thread, call_id=command.call_id)
            self._journal.obey(_laid, decided)


def _is_decided(approval: Approval) -> bool:
    """A request that a run went on without was never decided: there, its replay waits."""
    return not approval.is_open and approval.state != "withdrawn"


def _laid(rows: Rows, approval: Approval, now: float) -> tuple[None, Writes]:
    return None, {approval_key(approval.tenant, approval.id): approval}


def _actions(asked: Iterable[BaseMessage]) -> Iterator[tuple[str, str, str]]:
    """Tool, digest and id of each call."""
    for message in asked:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            with suppress(ActionRefused):
                yield call["name"], Action(call["name"], call["args"]).digest, call["id"] or ""
