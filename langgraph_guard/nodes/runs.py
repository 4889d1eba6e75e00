"""What is known of the run that a call belongs to, for as long as it runs."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langgraph_guard.errors import BudgetExceeded

if TYPE_CHECKING:
    from langgraph_guard.nodes.tools import ToolBatch

# LangGraph puts these into the config of every task. They are not public names; tests/nodes/test_runs.py holds them.
RUNTIME: Final = "__pregel_runtime"
RESUMING: Final = "__pregel_resuming"

KEPT_RUNS: Final = 4_096


@dataclass(slots=True)
class Run:
    """One invocation of a graph, subgraphs included, as one budget sees it."""

    control: object
    resuming: bool
    zero_ms: int
    """The moment at which the turn would have begun, had nobody been waited for."""
    id: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex}")
    turn: dict[str, Any] | None = None
    """The turn as it was when the run entered it."""
    zero_steps: dict[str, int] = field(default_factory=dict)
    denied: BudgetExceeded | None = None
    """The first denial. It stands for the rest of the run, so that a node which swallows it cannot go on and on."""

    asked_for: set[str] = field(default_factory=set)
    """Ids of the tool calls that were counted where a tracked model asked for them, and not where they are made."""

    unsettled: dict[Hashable, ToolBatch] = field(default_factory=dict)
    """Those of them that are priced by the unit, and of which nobody knows yet what they used."""

    batches: dict[str, ToolBatch] = field(default_factory=dict)
    """What they were reserved with, by the reservation's id: in this run, or in one before it that was interrupted."""

    unsaid: dict[str, ToolBatch] = field(default_factory=dict)
    """Those of which the state does not have all yet."""

    @property
    def turn_ref(self) -> tuple[str, int]:
        """The turn's id and number; ("", 0) before it is known."""
        return (self.turn["id"], self.turn["seq"]) if self.turn else ("", 0)

    def active_ms(self, now_ms: int) -> int:
        return max(0, now_ms - self.zero_ms)


class Runs:
    """The runs that are under way, by LangGraph's own object for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[int, Run] = OrderedDict()

    def of(self, config: RunnableConfig, now_ms: int) -> Run | None:
        """The run of `config`; `None` outside a graph."""
        control = getattr(runtime_of(config), "control", None)
        if control is None:
            return None
        with self._lock:
            run = self._runs.get(id(control))
            if run is not None:
                self._runs.move_to_end(id(control))
            else:
                run = self._runs[id(control)] = Run(control, _is_resuming(config), now_ms)
                if len(self._runs) > KEPT_RUNS:
                    self._runs.popitem(last=False)
            return run


def runtime_of(config: RunnableConfig) -> Runtime[Any] | None:
    """The runtime of the task that `config` belongs to; `None` outside a graph."""
    runtime = (config.get("configurable") or {}).get(RUNTIME)
    return runtime if isinstance(runtime, Runtime) else None


def namespace(config: RunnableConfig) -> str:
    """The checkpoint namespace of the graph that runs the task, without the task's own part."""
    ns: str = (config.get("configurable") or {}).get("checkpoint_ns") or ""
    return ns.rpartition("|")[0]


def step_of(config: RunnableConfig) -> int:
    """The superstep that is running, as the graph counts them."""
    step: int = (config.get("metadata") or {}).get("langgraph_step") or 0
    return step


def _is_resuming(config: RunnableConfig) -> bool:
    return bool((config.get("configurable") or {}).get(RESUMING))
