"""The stock callback handler of Langfuse, thinned: less of the state, no secrets, the guards' decisions, real costs.

What runs where is left to the stock handler: it must not run inline, since its current span would leak into the
caller's task. Everything is found by the run's id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langfuse.langchain import CallbackHandler
from langfuse.types import TraceContext

from langgraph_guard.observability.decisions import Decision, decided
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.langfuse.alone import Alone
from langgraph_guard.observability.langfuse.calls import Calls
from langgraph_guard.observability.langfuse.payload import Payloads, fits, within
from langgraph_guard.observability.langfuse.told import Told
from langgraph_guard.observability.langfuse.wide import Wide
from langgraph_guard.observability.relay import PREFIX, charged
from langgraph_guard.observability.runs import TRACE_ID, is_trace, parent_of

if TYPE_CHECKING:
    from langfuse import Langfuse

MACHINERY: Final = ("langgraph_", "langfuse_", "guard_", "ls_", "thread_id", "checkpoint_", "lc_")
"""How metadata begins that is no news about a trace."""

_log = logging.getLogger(__name__)


class GuardLangfuseHandler(CallbackHandler):
    """One for all runs of a program, on a client that is switched on. `scores=False`: observations alone."""

    def __init__(self, client: Langfuse, payloads: Payloads, *, scores: bool = True) -> None:
        super().__init__(public_key=private.public_key(client))
        self._langfuse_client = client
        self._payloads = payloads
        self._scores = scores
        self._told = Told(payloads)
        self._calls = Calls(self)
        self._wide = Wide(self)
        self._alone = Alone(self, self._wide)
        charged(self)

    # Chains: the graph, its nodes, its edges

    def on_chain_start(self, serialized: dict[str, Any] | None, inputs: Any, *, run_id: UUID, **told: Any) -> Any:
        shown = self._payloads.shown(inputs)
        super().on_chain_start(self._told.what(serialized), shown, run_id=run_id, **self._told.start(told))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **told: Any) -> Any:
        self._over(run_id, told)
        super().on_chain_end(self._payloads.shown(outputs), run_id=run_id, **self._told.end(told))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        self._over(run_id, told)
        super().on_chain_error(error, run_id=run_id, **self._told.end(told))

    # Models

    def on_chat_model_start(
        self, serialized: dict[str, Any] | None, messages: list[list[BaseMessage]], *, run_id: UUID, **told: Any
    ) -> Any:
        shown = [self._payloads.messages(batch) for batch in messages]
        said = self._told.model(told)
        said["metadata"] = {**(said["metadata"] or {}), "messages": sum(map(len, messages))}
        with self._alone.beginning(said):
            super().on_chat_model_start(self._told.what(serialized), shown, run_id=run_id, **said)
        self._calls.began(run_id, told.get("metadata"))

    def on_llm_start(self, serialized: dict[str, Any] | None, prompts: list[str], *, run_id: UUID, **told: Any) -> Any:
        shown = [self._payloads.shown(prompt) or "" for prompt in prompts]
        super().on_llm_start(self._told.what(serialized), shown, run_id=run_id, **self._told.model(told))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **told: Any) -> Any:
        with self._calls.ending(run_id), self._alone.ending(run_id, told):
            super().on_llm_end(self._payloads.answer(response), run_id=run_id, **self._told.end(told))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> Any:
        with self._calls.ending(run_id), self._alone.ending(run_id, told):
            super().on_llm_error(error, run_id=run_id, **self._told.end(told))

    # Agents that are chains

    def on_agent_action(self, action: AgentAction, *, run_id: UUID, **told: Any) -> Any:
        super().on_agent_action(self._payloads.shown(action), run_id=run_id, **self._told.end(told))

    def on_agent_finish(self, finish: AgentFinish, *, run_id: UUID, **told: Any) -> Any:
        super().on_agent_finish(self._payloads.shown(finish), run_id=run_id, **self._told.end(told))

    # Tools and retrievers

    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, **told: Any) -> Any:
        shown = "" if told.get("inputs") is not None else self._payloads.shown(input_str) or ""
        super().on_tool_start(self._told.what(serialized), shown, run_id=run_id, **self._told.start(told))

    def on_tool_end(self, output: Any, *, run_id: UUID, **told: Any) -> Any:
        self._over(run_id, told)
        is_message = isinstance(output, ToolMessage)  # whose status the stock handler looks at
        shown = self._payloads.message(output) if is_message else self._payloads.shown(output)
        super().on_tool_end(shown, run_id=run_id, **self._told.end(told))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> Any:
        self._over(run_id, told)
        super().on_tool_error(error, run_id=run_id, **self._told.end(told))

    def on_retriever_start(self, serialized: dict[str, Any] | None, query: str, *, run_id: UUID, **told: Any) -> Any:
        shown = self._payloads.shown(query) or ""
        super().on_retriever_start(self._told.what(serialized), shown, run_id=run_id, **self._told.start(told))

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **told: Any) -> Any:
        super().on_retriever_end(self._payloads.shown(list(documents)), run_id=run_id, **self._told.end(told))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> Any:
        super().on_retriever_error(error, run_id=run_id, **self._told.end(told))

    # Guards

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **told: Any) -> None:
        """A guard's event, in the run that it happened in; others' events are theirs."""
        event = name.removeprefix(PREFIX)
        if event == name or not isinstance(data, Mapping):
            return
        try:
            self._calls.said(event, data)
            decision = decided(event, data)
            if not decision.quiet:
                self._show(decision, run_id, data)
        except Exception as error:  # its text may quote the run
            _log.warning("%s is not shown: %s", name, type(error).__name__)

    def on_charge(self, event: str, said: Mapping[str, Any]) -> None:
        """Of a call outside the runs of this handler, or of a call that is a run by itself."""
        self._calls.said(event, said)

    def _show(self, decision: Decision, run_id: UUID, data: Mapping[str, Any]) -> None:
        parent = private.observation(self, run_id)
        if parent is None:
            return  # a trace of its own would be an orphan
        observation = parent.start_observation(
            name=self._payloads.text(f"{PREFIX}{decision.event}"),
            as_type="guardrail",
            input=self._payloads.metadata(data),
            output={"decision": decision.decision, "reason": self._payloads.text(decision.reason)},
            level=decision.level,
            status_message=self._payloads.text(decision.sentence),
        )
        self._wide.hand_on(run_id, observation)
        observation.end()
        if self._scores:
            name = self._payloads.text(f"{PREFIX}{decision.guard}")
            observation.score_trace(name=name, value=decision.decision, data_type="CATEGORICAL")

    # What the stock handler asks

    def _take_root_trace_context(
        self, *, inputs: Any, metadata: dict[str, Any] | None
    ) -> tuple[str | None, TraceContext | None]:
        """The trace that `run_config` chose for the run, which its resume goes on with."""
        chosen = (metadata or {}).get(TRACE_ID)
        if is_trace(chosen):
            return None, {"trace_id": str(chosen), "parent_span_id": parent_of(str(chosen))}
        return super()._take_root_trace_context(inputs=inputs, metadata=metadata)

    def _parse_langfuse_trace_attributes(
        self, *, metadata: dict[str, Any] | None, tags: list[str] | None
    ) -> dict[str, Any]:
        """What every observation of a trace carries: of the metadata what the program gave, not the machinery's."""
        parsed = super()._parse_langfuse_trace_attributes(metadata=metadata, tags=tags)
        if "trace_name" in parsed:
            parsed["trace_name"] = within(parsed["trace_name"])
        if "tags" in parsed:
            parsed["tags"] = [within(tag) for tag in parsed["tags"]]
        full, given = self._payloads.kind == "full", parsed.get("metadata") or {}
        parsed["metadata"] = {
            name: said for name, said in given.items() if (full or not name.startswith(MACHINERY)) and fits(said)
        }
        return parsed

    def _get_error_level_and_status_message(self, error: BaseException) -> tuple[Literal["DEFAULT", "ERROR"], str]:
        return self._told.error(error)

    def _get_parent_observation(self, parent_run_id: UUID | None) -> Any:
        found: Any = super()._get_parent_observation(parent_run_id)
        return self._alone.client(found) if parent_run_id is None else found

    def _attach_observation(self, run_id: UUID, observation: Any) -> None:
        super()._attach_observation(run_id, observation)
        self._wide.began(run_id, observation)
        if (oldest := self._wide.given_up) is not None:
            self._give_up(oldest)

    def _over(self, run_id: UUID, told: Mapping[str, Any]) -> None:
        if told.get("parent_run_id") is None:
            self._end_what_is_left(run_id)
            self._calls.forget(run_id)
        self._deregister_langfuse_prompt(run_id)  # the stock handler does where all is well
        self._wide.over(run_id)

    def _give_up(self, root: UUID) -> None:
        """A run whose end nobody told, among too many."""
        self._end_what_is_left(root)
        self._end_open([root])
        self._calls.forget(root)
        self._wide.over(root)
        self._reset(root)

    def _end_what_is_left(self, root: UUID) -> None:
        """LangChain does not tell when a call is cancelled: its observation would never be sent, nor forgotten."""
        self._end_open(private.below(self, root))

    def _end_open(self, runs: Sequence[UUID]) -> None:
        for run_id in runs:
            self._deregister_langfuse_prompt(run_id)
            observation = private.observation(self, run_id)
            if observation is not None:
                self._detach_observation(run_id)
                observation.update(level="WARNING", status_message="not ended")
                self._calls.left(run_id, observation)
