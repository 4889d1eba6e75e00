"""The stock callback handler of Langfuse, thinned: less of the state, no secrets, the guards' decisions, real costs.

What runs where is left to the stock handler: it must not run inline, since its current span would leak into the
caller's task. Everything is found by the run's id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langfuse.langchain import CallbackHandler
from langfuse.types import TraceContext
from langgraph.errors import GraphBubbleUp

from langgraph_guard.events import RESERVATIONS
from langgraph_guard.observability.decisions import Decision, decided
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.langfuse.costs import Costs, Late
from langgraph_guard.observability.langfuse.payload import Payloads
from langgraph_guard.observability.relay import PREFIX
from langgraph_guard.observability.runs import TRACE_ID, is_trace

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
        self._costs = Costs()
        self._wide: dict[UUID, dict[str, Any]] = {}
        self._reservations: dict[UUID, tuple[str, ...]] = {}

    # Chains: the graph, its nodes, its edges

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        super().on_chain_start(
            serialized,
            self._payloads.shown(inputs),
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=self._tags(tags),
            metadata=self._metadata(metadata, parent_run_id),
            **self._told(kwargs),
        )

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        self._over(run_id, parent_run_id)
        shown = self._payloads.shown(outputs)
        super().on_chain_end(shown, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._over(run_id, parent_run_id)
        super().on_chain_error(error, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    # Models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        self._reservations[run_id] = tuple((metadata or {}).get(RESERVATIONS, ()))
        told = self._metadata(metadata, parent_run_id) or {}
        super().on_chat_model_start(
            serialized,
            [self._payloads.messages(batch) for batch in messages],
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=self._tags(tags),
            metadata={**told, "messages": sum(map(len, messages))},
            **self._of_model(kwargs),
        )

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        super().on_llm_start(
            serialized,
            [self._payloads.shown(prompt) or "" for prompt in prompts],
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=self._tags(tags),
            metadata=self._metadata(metadata, parent_run_id),
            **self._of_model(kwargs),
        )

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        late = self._late(run_id)
        shown = self._payloads.answer(response)
        super().on_llm_end(shown, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))
        self._close(late)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        late = self._late(run_id)
        super().on_llm_error(error, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))
        self._close(late)

    def _late(self, run_id: UUID) -> tuple[UUID, Late] | None:
        """Let the observation of a metered call wait for what the call cost."""
        reservations = self._reservations.pop(run_id, ())
        bill = self._costs.bill_of(self._above(run_id))
        observation: Any = self._runs.get(run_id)
        if bill is None or observation is None:
            return None
        late = Late(observation, reservations)
        self._runs[run_id] = late  # type: ignore[assignment]
        return bill, late

    def _above(self, run_id: UUID) -> list[UUID]:
        """The runs around `run_id`, the nearest first."""
        found: list[UUID] = []
        state = self._run_states.get(run_id)
        while state is not None and state.parent_run_id is not None:
            found.append(state.parent_run_id)
            state = self._run_states.get(state.parent_run_id)
        return found

    def _close(self, late: tuple[UUID, Late] | None) -> None:
        if late is not None:
            self._costs.ended(*late)

    def _of_model(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        said: Mapping[str, Any] = kwargs.get("invocation_params") or {}
        full = self._payloads.kind == "full"
        kept = {name: each for name, each in said.items() if full or isinstance(each, str | int | float)}
        shown = self._payloads.metadata(kept) or {}
        return {**self._told(kwargs), "invocation_params": shown}

    # Tools and retrievers

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        given = kwargs.get("inputs")
        super().on_tool_start(
            serialized,
            "" if given is not None else self._payloads.shown(input_str) or "",
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=self._tags(tags),
            metadata=self._metadata(metadata, parent_run_id),
            **self._told(kwargs),
        )

    def on_tool_end(self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> Any:
        self._over(run_id, parent_run_id)
        shown = self._payloads.shown(output)
        if isinstance(output, ToolMessage):  # whose status the stock handler looks at
            shown = self._payloads.message(output)
        super().on_tool_end(shown, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        self._over(run_id, parent_run_id)
        super().on_tool_error(error, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        super().on_retriever_start(
            serialized,
            self._payloads.shown(query) or "",
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=self._tags(tags),
            metadata=self._metadata(metadata, parent_run_id),
            **self._told(kwargs),
        )

    def on_retriever_end(
        self, documents: Sequence[Any], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        shown = self._payloads.shown(list(documents))
        super().on_retriever_end(shown, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    def on_retriever_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        super().on_retriever_error(error, run_id=run_id, parent_run_id=parent_run_id, **self._told(kwargs))

    # Guards

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A guard's event, in the run that it happened in; others' events are theirs."""
        event = name.removeprefix(PREFIX)
        if event == name or not isinstance(data, Mapping):
            return
        try:
            self._keep_books(event, run_id, data)
            decision = decided(event, data)
            if not decision.quiet:
                self._show(decision, run_id, data)
        except Exception as error:  # its text may quote the run
            _log.warning("%s is not shown: %s", name, type(error).__name__)

    def _keep_books(self, event: str, run_id: UUID, data: Mapping[str, Any]) -> None:
        if event == "budget.reserved":
            self._costs.reserved(run_id, data)
        elif event in ("budget.settled", "budget.released"):
            self._costs.closed(run_id, data)

    def _show(self, decision: Decision, run_id: UUID, data: Mapping[str, Any]) -> None:
        parent: Any = self._runs.get(run_id)
        if parent is None:
            return  # a trace of its own would be an orphan
        observation = parent.start_observation(
            name=f"{PREFIX}{decision.event}",
            as_type="guardrail",
            input=self._payloads.metadata(data),
            output={"decision": decision.decision, "reason": self._payloads.text(decision.reason)},
            level=decision.level,
            status_message=self._payloads.text(decision.sentence),
        )
        self._widen(run_id, observation)
        observation.end()
        if self._scores:
            name = f"{PREFIX}{decision.guard}"
            observation.score_trace(name=name, value=decision.decision, data_type="CATEGORICAL")

    # What the stock handler asks

    def _take_root_trace_context(
        self, *, inputs: Any, metadata: dict[str, Any] | None
    ) -> tuple[str | None, TraceContext | None]:
        """The trace that `run_config` chose for the run, which its resume goes on with."""
        chosen = (metadata or {}).get(TRACE_ID)
        if is_trace(chosen):
            return None, {"trace_id": str(chosen)}
        return super()._take_root_trace_context(inputs=inputs, metadata=metadata)

    def _parse_langfuse_trace_attributes(
        self, *, metadata: dict[str, Any] | None, tags: list[str] | None
    ) -> dict[str, Any]:
        """What every observation of a trace carries: of the metadata what the program gave, not the machinery's."""
        parsed = super()._parse_langfuse_trace_attributes(metadata=metadata, tags=tags)
        if self._payloads.kind != "full":
            given = parsed.get("metadata") or {}
            parsed["metadata"] = {name: said for name, said in given.items() if not name.startswith(MACHINERY)}
        return parsed

    def _metadata(self, metadata: dict[str, Any] | None, parent_run_id: UUID | None) -> dict[str, Any] | None:
        return self._payloads.metadata(metadata, below=parent_run_id is not None)

    def _get_error_level_and_status_message(self, error: BaseException) -> tuple[Literal["DEFAULT", "ERROR"], str]:
        level: Literal["DEFAULT", "ERROR"] = "DEFAULT" if isinstance(error, GraphBubbleUp) else "ERROR"
        kind = type(error).__name__
        if self._payloads.kind == "none":
            return level, kind
        try:
            said = str(error)
        except Exception:
            return level, kind
        return level, self._payloads.text(f"{kind}: {said}" if said else kind)

    def _attach_observation(self, run_id: UUID, observation: Any) -> None:
        """In async runs each callback has a context of its own, so who and which session is handed on by the run."""
        super()._attach_observation(run_id, observation)
        state = self._run_states.get(run_id)
        if state is not None and state.root_run_id == run_id:
            self._wide[run_id] = private.trace_wide(observation)
        else:
            self._widen(run_id, observation)

    def _widen(self, run_id: UUID, observation: Any) -> None:
        state = self._run_states.get(run_id)
        wide = self._wide.get(state.root_run_id) if state is not None else None
        span = private.span(observation)
        missing = {name: value for name, value in (wide or {}).items() if name not in (span.attributes or {})}
        if missing:
            span.set_attributes(missing)

    def _over(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        self._costs.over(run_id)
        if parent_run_id is None:
            self._end_what_is_left(run_id)
        self._wide.pop(run_id, None)

    def _end_what_is_left(self, root: UUID) -> None:
        """LangChain does not tell when a call is cancelled: its observation would never be sent, nor forgotten."""
        state = self._root_run_states.get(root)
        for run_id in tuple(state.run_ids) if state is not None else ():
            observation: Any = self._runs.get(run_id) if run_id != root else None
            if observation is not None:
                self._detach_observation(run_id)
                self._reservations.pop(run_id, None)
                observation.update(level="WARNING", status_message="not ended")
                observation.end()

    def _tags(self, tags: list[str] | None) -> list[str] | None:
        return None if tags is None else [self._payloads.text(str(tag)) for tag in tags]

    def _told(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What else a callback is told: names and ids; the rest is data, and shown as such or not at all."""
        told: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name == "inputs":
                told[name] = self._payloads.shown(value)
            elif isinstance(value, str):
                told[name] = self._payloads.text(value)
        return told
