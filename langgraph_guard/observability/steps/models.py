"""Model calls, from what they are sent to what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.outputs import LLMResult

from langgraph_guard.events import RESERVATIONS
from langgraph_guard.observability.steps.answers import message_of, model_of
from langgraph_guard.observability.steps.drafts import Cost
from langgraph_guard.observability.steps.prompts import Prompts
from langgraph_guard.observability.steps.records import Records
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.units import Unit, first


class ModelCalls:
    """The model calls of runs. With `prompts`, what was sent and what came back is kept whole."""

    def __init__(self, records: Records, shown: Shown, prompts: Prompts | None) -> None:
        self._records = records
        self._shown = shown
        self._prompts = prompts

    def began(
        self,
        prompt: Any,
        run_id: UUID,
        around: Unit | None,
        metadata: Mapping[str, Any] | None,
        said: Mapping[str, Any],
    ) -> None:
        model = first(metadata, "ls_model_name") or first(said, "model", "model_name") or "model"
        unit = self._records.begin("llm", model, run_id, around, metadata)
        unit.model, unit.provider = str(model), first(metadata, "ls_provider")
        unit.reservations = tuple(first(metadata, RESERVATIONS) or ())
        self._records.bills.began(unit)
        if self._prompts is not None:
            unit.attrs.update(self._prompts.sent(prompt, said))

    def ended(self, unit: Unit, response: LLMResult) -> None:
        message = message_of(response)
        if self._prompts is not None:
            unit.attrs.update(self._prompts.received(message))
        unit.model = model_of(message) or unit.model
        self._end(unit, "ok", result=self._shown.part(message), usage=getattr(message, "usage_metadata", None))

    def failed(self, unit: Unit, error: BaseException) -> None:
        self._end(unit, *self._records.failure(error))

    def _end(self, unit: Unit, *how: Any, result: Any = None, usage: Mapping[str, Any] | None = None) -> None:
        ended = self._records.units.now()[1]

        def write(cost: Cost, charged: int | None) -> None:
            self._records.end(unit, *how, result=result, usage=usage, cost=cost, charged=charged, ended=ended)

        self._records.bills.ended(unit, write)
