"""What the guard needs of a budget, and nothing about how."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import BudgetLedger, Clock


class ToolCharges(Protocol):
    """Charges attempts of tool calls. `begin` before each, then one of the others."""

    @property
    def ledger(self) -> BudgetLedger: ...
    @property
    def clock(self) -> Clock: ...
    def begin(
        self, id: str, tool: str, attempt: int, config: RunnableConfig
    ) -> Generator[Sequence[Any], list[Any], Any]: ...
    def end(self, made: Any, result: Any) -> Generator[Sequence[Any], list[Any], None]: ...
    def interrupted(self, made: Any) -> Generator[Sequence[Any], list[Any], None]: ...
    def seconds_left(self, config: RunnableConfig) -> float | None: ...
    def watching(self, id: str) -> AbstractContextManager[None]: ...


@runtime_checkable
class ChargesTools(Protocol):
    """What `ToolGuard(budget=…)` takes: `BudgetCheckNode` is one."""

    @property
    def tool_charges(self) -> ToolCharges: ...
