"""Tool calls, from what they are asked to what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langgraph_guard.forks import Lock
from langgraph_guard.observability.steps.records import Records
from langgraph_guard.observability.steps.step import Status
from langgraph_guard.observability.steps.text import Shown
from langgraph_guard.observability.steps.units import Unit


class ToolCalls:
    """The tool calls of runs. Several end at once, in the threads of a tools node."""

    def __init__(self, records: Records, shown: Shown) -> None:
        self._records = records
        self._shown = shown
        self._lock = Lock()

    def began(
        self,
        name: object,
        given: Any,
        run_id: UUID,
        around: Unit | None,
        metadata: Mapping[str, Any] | None,
        tool_call_id: str | None,
    ) -> None:
        unit = self._records.begin("tool", name, run_id, around, metadata)
        unit.args, unit.tool_call_id = self._shown.part(given), tool_call_id

    def ended(self, unit: Unit, output: Any) -> None:
        """Tools answer with a message that says `error` where their error was handled."""
        if getattr(output, "status", None) == "error":
            self._end(unit, "error", "ToolMessage", self._shown.value(output))
        else:
            self._end(unit, "ok", result=self._shown.part(output))

    def failed(self, unit: Unit, error: BaseException) -> None:
        self._end(unit, *self._records.failure(error))

    def _end(
        self, unit: Unit, status: Status, error_type: str | None = None, error: str | None = None, result: Any = None
    ) -> None:
        if unit.around is not None:
            with self._lock:
                name = self._shown.name(unit.name)
                (unit.around.failed.add if status == "error" else unit.around.failed.discard)(name)
        self._records.end(unit, status, error_type, error, result=result)

    def answered(self, unit: Unit, said: Mapping[str, Any]) -> None:
        """A failed answer to a call that did not fail, or was never made, is the guard's: nothing else tells of it."""
        tool = self._shown.name(said.get("tool") or "unknown tool")
        with self._lock:
            is_told = tool in unit.failed
            unit.failed.discard(tool)
        if said.get("status") == "error" and not is_told:
            attrs = self._shown.facts(said)
            self._records.moment(unit, "guard", "tool.answered", "block", attrs, error_type=attrs.get("error_type"))
