"""The end of a run that may not go on: valid history, a useful partial answer, and the reason."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp

from langgraph_guard.errors import ConfigError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.guard import Update, in_config
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.nodes.model import meters_in
from langgraph_guard.policies.landing import clip, how_to_continue, reason_of
from langgraph_guard.state.views import MessagesView, declare, messages_of, open_calls, read, renamed
from langgraph_guard.tools.results import ToolResult

_log = logging.getLogger(__name__)

INSTRUCTION: Final = (
    "You must stop here: no more tools can be called in this run. Answer the request as well"
    " as what you have found so far allows. Say plainly what is done, what is still open and what you could not check."
)

NOT_MADE: Final = frozenset({"circuit_open", "denied", "validation"})
"""What kept a call from being made."""

ASK: Final = object()
"""The command of the flow that asks the model."""


class FinishNode(Runnable[Any, Update]):
    """Ends a run with what it has: closes open tool calls, answers with what was found, says why and how to go on.

    `model` writes the answer, best `budget.model(cheap, landing=True)`, which is paid from what the budget keeps aside.
    Without one, or when it fails, the answer is put together from the history; this never fails the run.

    The last message carries `response_metadata["guard"]`: `status` (`limit_cost`, `limit_tokens`, `limit_calls`,
    `limit_steps`, `limit_time`, `circuit_open`, `loop`; `stopped` without a reason), `reason` (a sentence), `unit`,
    `scope`, `window`, `limit` and `spent` (integers as the ledger counts: micro-USD, milliseconds, plain counts),
    `continue`.
    """

    def __init__(
        self,
        model: Runnable[Any, Any] | None = None,
        *,
        instruction: str = INSTRUCTION,
        name: str = "finish",
        messages_key: str = "messages",
    ) -> None:
        if model is not None and not isinstance(model, Runnable):
            raise ConfigError("model", f"must be a chat model, is a {type(model).__name__}")
        self.model = model
        self.instruction = instruction
        self.name = name
        self.messages_key = messages_key
        self._meters: tuple[Meter, ...] = meters_in(model) if model is not None else ()
        declare(self, MessagesView if messages_key == "messages" else renamed(MessagesView, messages_key))

    def __call__(self, state: Any) -> Update:
        return self.invoke(state)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)
        flow = self._finish(input, config)
        return run(flow, lambda batch: [self._ask(batch[1], config)] if batch[0] is ASK else self._ledger(batch))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)

        async def execute(batch: Sequence[Any]) -> list[Any]:
            if batch[0] is not ASK:
                return await self._meters[0].backend.ledger.aexecute(batch)
            assert self.model is not None
            return [await self.model.ainvoke(batch[1], config)]

        return await arun(self._finish(input, config), execute)

    def _ask(self, messages: list[BaseMessage], config: RunnableConfig) -> Any:
        assert self.model is not None
        return self.model.invoke(messages, config)

    def _ledger(self, batch: Sequence[Any]) -> list[Any]:
        return self._meters[0].backend.ledger.execute(batch)

    def _finish(self, state: Any, config: RunnableConfig) -> Generator[Sequence[Any], list[Any], Update]:
        messages = messages_of(state, self.messages_key)
        halt = verdicts.halted(state, messages) or {}
        closing = [closed(call, halt) for call in open_calls(messages)]
        answer = yield from self._answer([*messages, *closing])
        said = answer.text.strip() if answer else ""
        last = AIMessage(
            content=f"{said or summary_of(messages)}\n\n{_sign_off(halt)}",
            usage_metadata=answer.usage_metadata if answer else None,
            response_metadata={**(answer.response_metadata if answer else {}), "guard": ending(halt)},
        )
        emit("run.finished", guard=self.name, status=_status(halt), closed_calls=len(closing), by_model=bool(said))
        update: Update = {self.messages_key: [*closing, last]}
        if self._meters and (turn := read(state, "guard_turn")):
            update["guard_usage"] = yield from self._meters[0].spent(config, (turn["id"], turn["seq"]))
        return update

    def _answer(self, messages: list[BaseMessage]) -> Generator[Sequence[Any], list[Any], AIMessage | None]:
        """The model's closing answer; `None` without a model, and when it fails."""
        if self.model is None:
            return None
        try:
            (answer,) = yield [ASK, [*messages, HumanMessage(self.instruction)]]
        except GraphBubbleUp:
            raise
        except Exception as error:
            _log.warning("the closing answer is written without its model: %s", type(error).__name__)
            return None
        return answer if isinstance(answer, AIMessage) else AIMessage(str(answer))


def closed(call: Mapping[str, Any], halt: Mapping[str, Any]) -> ToolMessage:
    """The answer to a tool call that will not be made."""
    return ToolMessage(
        content=f"Not run: {reason_of(halt)}.", tool_call_id=call["id"] or "", name=call["name"], status="error"
    )


def ending(halt: Mapping[str, Any]) -> dict[str, Any]:
    """`response_metadata["guard"]`: how the run ended, for programs."""
    figures = {name: halt.get(name) for name in ("unit", "scope", "window", "limit", "spent")}
    return {"status": _status(halt), "reason": reason_of(halt), **figures, "continue": how_to_continue(halt)}


def summary_of(messages: Sequence[BaseMessage]) -> str:
    """What a run did, from its history alone: the last words of the model, the tools it used, what they last said."""
    start = max((at for at, each in enumerate(messages) if isinstance(each, HumanMessage)), default=-1)
    turn = messages[start + 1 :]
    # What a model said beside calls that all failed is a guess: it would be told as what was found.
    failed = {each.tool_call_id for each in turn if isinstance(each, ToolMessage) and each.status == "error"}
    spoken = (each for each in reversed(turn) if isinstance(each, AIMessage) and not _in_vain(each, failed))
    said = next((each.text.strip() for each in spoken if each.text.strip()), "")
    lines = ["I had to stop before I was done."]
    if said:
        lines.append(f"So far: {clip(said, 600)}")
    results: dict[str, list[ToolMessage]] = {}
    for each in turn:
        if isinstance(each, ToolMessage):
            results.setdefault(each.name or "tool", []).append(each)
    return "\n".join([*lines, *(_used(tool, said) for tool, said in results.items())])


def _used(tool: str, results: Sequence[ToolMessage]) -> str:
    """What came of one tool. Answers to calls that were not made are none of its results."""
    told = [(ToolResult.parse(each.artifact), each) for each in results]
    made = [(result, each) for result, each in told if result is None or result.error_type not in NOT_MADE]
    if not made:
        return f"- {tool}: not called; {_said(*told[-1])}"
    times = f"{len(made)} time{'s' if len(made) > 1 else ''}"
    return f"- {tool}: called {times}; last result: {_said(*made[-1])}"


def _said(result: ToolResult | None, message: ToolMessage) -> str:
    return clip(message.text if result is None or result.ok else result.message, 200)


def _in_vain(message: AIMessage, failed: Collection[str]) -> bool:
    return bool(message.tool_calls) and all(call["id"] in failed for call in message.tool_calls)


def _sign_off(halt: Mapping[str, Any]) -> str:
    return f"({reason_of(halt)}. {how_to_continue(halt)})" if halt else "(stopped.)"


def _status(halt: Mapping[str, Any]) -> str:
    return halt.get("reason") or "stopped"
