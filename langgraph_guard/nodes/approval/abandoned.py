"""Calls that a run went on without: found in the history, taken back at the desk, answered where providers want it.

A message that comes while people are asked begins a new turn, and LangGraph drops the step that waited. The calls stay
in the history without an answer, which providers refuse, and their request stays open at the desk, where a late yes
would let nothing run. So they are answered, and what the answer says is made true first: that a call did not run is
said after its request was withdrawn and the outbox knew of no execution. What ran is told as it is known.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Overwrite

from langgraph_guard.errors import ActionRefused
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes.approval.asking import tell_decided
from langgraph_guard.nodes.approval.place import place_of
from langgraph_guard.nodes.guard import Guard, NodeFlow, Update, in_config
from langgraph_guard.nodes.summarization.hosts import way_of
from langgraph_guard.nodes.summarization.reading import history_of
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Approval, Look, Withdraw
from langgraph_guard.policies.outbox import EffectKey, Execution, LookUp
from langgraph_guard.tools.approvals import Approvals, Place
from langgraph_guard.tools.guard import kept
from langgraph_guard.tools.guard.executions import IN_DOUBT, UNDER_WAY
from langgraph_guard.tools.guard.running import Ask, atell, tell
from langgraph_guard.tools.results.result import ToolResult

NOT_RUN: Final = (
    "{tool} was not run: the user went on before anybody let it. Call it again only if the user asks for it."
)
NO_RESULT: Final = "{tool} has no result: the user went on before it was answered."

Asking = Generator[Sequence[Any], list[Any], None]


@dataclass(slots=True)
class Abandoned:
    """A call that has no answer, or one that came too `late`. `at`: the place that its answer belongs before."""

    call: Mapping[str, Any]
    at: int
    late: int | None = None
    approval: Approval | None = None
    execution: Execution | None = None

    @property
    def tool(self) -> str:
        return str(self.call["name"])

    @property
    def began(self) -> bool:
        return self.execution is not None and self.execution.state != "failed"

    @property
    def may_begin(self) -> bool:
        return self.approval is not None and not self.began and (self.approval.is_open or self.approval.may_run)

    def answer(self) -> ToolMessage:
        """What the model reads."""
        id = self.call["id"]
        if self.execution is not None and self.execution.state == "done":
            said = kept.told(self.execution.result, id, self.tool)
        elif self.execution is not None and self.began:
            words = UNDER_WAY if self.execution.state == "started" else IN_DOUBT
            said = ToolResult.error("timeout", words.format(name=self.tool), retry_safe=False).to_message(id, self.tool)
        else:
            words = NO_RESULT if self.approval is None else NOT_RUN
            said = ToolResult.error("denied", words.format(tool=self.tool)).to_message(id, self.tool)
        return said.model_copy(update={"id": str(uuid4())})


def abandoned(messages: Sequence[BaseMessage]) -> list[Abandoned]:
    """Calls that something else than their answers follows, oldest first. A model may use an id in every turn."""
    found: list[Abandoned] = []
    waiting: dict[str, Mapping[str, Any]] = {}
    for at, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if waiting.pop(message.tool_call_id, None) is None:
                _came_late(found, message.tool_call_id, at)
            continue
        found += [Abandoned(call, at) for call in waiting.values()]
        asks = message.tool_calls if isinstance(message, AIMessage) else ()
        waiting = {str(call["id"]): call for call in asks if call.get("id")}
    return found


def _came_late(found: Sequence[Abandoned], id: str, at: int) -> None:
    for each in reversed(found):
        if each.call["id"] == id and each.late is None:
            each.late = at
            return


def take_back(
    left: Sequence[Abandoned], approvals: Approvals, place: Place, guard: str, but: Collection[str] = ()
) -> Asking:
    """Look what became of calls, and withdraw the requests of those that did not begin, so that they never will; `but`
    for requests with these ids."""
    if not place.thread:
        return
    yield from _look(left, approvals, place)
    open_ = [each for each in left if each.approval and each.approval.id not in but and each.may_begin]
    if not open_:
        return
    withdraws = [Withdraw(approvals.tenant, each.approval.id) for each in open_ if each.approval]
    (replies,) = yield [Ask(approvals.desk, withdraws)]
    for each, reply in zip(open_, replies, strict=True):
        if reply is not None and reply != each.approval:
            tell_decided(guard, reply)
        each.approval = reply or each.approval
    yield from _look_up(open_, approvals, place)  # One may have begun in the moment before.


def _look(left: Sequence[Abandoned], approvals: Approvals, place: Place) -> Asking:
    asked: list[tuple[Abandoned, str]] = []
    for each in left:
        try:
            asked.append((each, approvals.id_of(_action(each), place, each.call["id"])))
        except ActionRefused:
            continue  # nobody can have been asked about it, and it cannot have run
    if asked:
        ((found,),) = yield [Ask(approvals.desk, [Look(approvals.tenant, tuple(id for _, id in asked))])]
        for (each, _), approval in zip(asked, found, strict=True):
            each.approval = approval
        yield from _look_up([each for each, _ in asked], approvals, place)


def _look_up(left: Sequence[Abandoned], approvals: Approvals, place: Place) -> Asking:
    """What the outbox knows of each: after an edit, of what it was edited to."""
    digests = [each.approval.digest if each.approval else _action(each).digest for each in left]
    keys = [
        EffectKey(approvals.tenant, place.thread, each.call["id"], digest)
        for each, digest in zip(left, digests, strict=True)
    ]
    (found,) = yield [Ask(approvals.outbox, [LookUp(key) for key in keys])]
    for each, execution in zip(left, found, strict=True):
        each.execution = execution


def _action(each: Abandoned) -> Action:
    return Action(each.tool, each.call["args"])


class ApprovalEntry(Guard):
    """`HumanApprovalNode(…).entry`: where a turn begins, calls that the user went on without are answered, and their
    requests withdrawn. Always passes; without such calls it asks nobody and writes nothing.

    The history is written as a whole then, so what another node appends in the same step is lost.
    """

    def __init__(self, approvals: Approvals, name: str, messages_key: str) -> None:
        super().__init__(name, messages_key)
        self._approvals = approvals

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return run(self._check(input, in_config(config)), tell)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return await arun(self._check(input, in_config(config)), atell)

    def _check(self, state: Any, config: RunnableConfig) -> NodeFlow:
        messages = history_of(state, self.messages_key)
        left = abandoned(messages)
        if not left:
            return {}
        yield from take_back(left, self._approvals, place_of(config), self.name)
        late = {each.late for each in left if each.late is not None}
        emit("context.repaired", guard=self.name, answers=len(late), calls=len(left))
        after = _answered(messages, left, late)
        return {self.messages_key: after if way_of(config, self.messages_key) == "plain" else Overwrite(after)}


def _answered(messages: Sequence[BaseMessage], left: Sequence[Abandoned], late: set[int]) -> list[BaseMessage]:
    """The history with an answer to each call behind its message."""
    answers: dict[int, list[BaseMessage]] = {}
    for each in left:
        said = each.answer() if each.late is None else messages[each.late]
        answers.setdefault(each.at, []).append(said)
    found: list[BaseMessage] = []
    for at, message in enumerate(messages):
        found += answers.get(at, ())
        if at not in late:
            found.append(message)
    return found
