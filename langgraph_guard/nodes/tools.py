"""Tool calls under a budget: counted and paid for before they run, together with those that were asked for with them.

A tool with a price per call costs that. One with a price per unit holds the most that it can cost until its result
says what it used; a call that fails, is cancelled or says nothing costs all of that.

What a tracked model asks for is charged there, once: `guard_asked` has it, so that a run which resumes after an
interrupt, in whatever process, charges nothing again and settles what the tools used. Time travel to a checkpoint
behind the question finds it charged, too; only to ask again costs again. Calls that no tracked model asked for are
charged where they run, each time that they do.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.nodes.held import Held
from langgraph_guard.nodes.ids import growing_id
from langgraph_guard.nodes.metering import LedgerFlow, Meter
from langgraph_guard.nodes.pricing import NO_MODEL
from langgraph_guard.policies.calls import plan_tool_calls
from langgraph_guard.policies.ledger import Settle
from langgraph_guard.policies.outcomes import Outcome
from langgraph_guard.prices import ToolPrice
from langgraph_guard.state import Asked

if TYPE_CHECKING:
    from langgraph_guard.nodes.runs import Run

NO_RESULT: Final = None
"""How a call ended that failed, or of which nobody heard again."""


class ToolCall(NamedTuple):
    """One call: its id, and the name of its tool."""

    id: Hashable
    name: str


class ToolBatch:
    """Tool calls that were reserved for together. `usd` is what they cost as far as that is known, at the most.

    `waits_for`: the calls whose end settles it, with the price of those that are priced by the unit. `asked`: who
    asked for the calls, where and when, as it stands in the state; `None` of a call that nobody asked for.
    """

    def __init__(
        self, held: Held, usd: int, waits_for: Mapping[Hashable, ToolPrice | None], asked: Asked | None = None
    ) -> None:
        self.held = held
        self.usd = usd
        self.costs = usd > 0
        self.measured = True
        self.asked = asked
        self._open = dict(waits_for)
        self._lock = threading.Lock()

    @property
    def open(self) -> frozenset[Hashable]:
        """The calls of which nobody knows yet what they used."""
        with self._lock:
            return frozenset(self._open)

    def end(self, id: Hashable, result: Any) -> bool:
        """Note what a call used. Whether all is known now; of a call that is not open there is no news."""
        with self._lock:
            if id not in self._open:
                return False
            price = self._open.pop(id)
            if price is not None:
                units = price.used(result)
                self.measured = self.measured and units is not None
                self.usd += 0 if units is None else price.cost(units) - price.worst()
            return not self._open


class ToolCalls:
    """The tool calls of one budget."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def ask(self, calls: Sequence[ToolCall], config: RunnableConfig, run: Run | None) -> LedgerFlow:
        """Count the calls that a model asks for and hold what they can cost, all or none. Raises `BudgetExceeded`."""
        held, worst = yield from self._reserve(calls, config)
        names = {call.id: call.name for call in calls if isinstance(call.id, str)}
        asked = Asked(id=held.id, guard=self._meter.name, calls=names, at=self._meter.now_ms())
        batch = ToolBatch(held, worst, self._by_unit(calls), asked)
        if not batch.open:
            yield from self._settle(batch)
        if run is not None:
            run.asked_for.update(names)
            run.unsettled.update(dict.fromkeys(batch.open, batch))
            run.batches[held.id] = run.unsaid[held.id] = batch

    def make(self, call: ToolCall, config: RunnableConfig) -> LedgerFlow:
        """Count a call that is about to run: a `ToolBatch` of its own, settled at its end. Raises `BudgetExceeded`."""
        held, worst = yield from self._reserve([call], config)
        return ToolBatch(held, worst, {call.id: None, **self._by_unit([call])})

    def _reserve(self, calls: Sequence[ToolCall], config: RunnableConfig) -> LedgerFlow:
        meter = self._meter
        run = meter.run_of(config)
        yield from meter.enter(run, config)
        worst = meter.pricing.of_tools(call.name for call in calls)
        ask = plan_tool_calls(meter.budget, meter.who(config, run), len(calls), worst, aside=meter.has_landing)
        held = Held(growing_id(), NO_MODEL, ask)
        try:
            yield from meter.reserve(held, run)
        except BudgetExceeded as error:
            meter.deny(error, run)
            raise
        except GeneratorExit:
            raise
        except BaseException:
            yield from meter.abandon(held)  # the answer was lost, and the reservation may be there: nothing ran yet
            raise
        meter.scope().metered = True
        if worst:
            meter.say_reserved(held)
        return held, worst

    def end(self, batch: ToolBatch, id: Hashable, result: Any) -> LedgerFlow:
        """A call of `batch` has ended; the last one settles it."""
        if batch.end(id, result):
            yield from self._settle(batch)

    def interrupted(self, batch: ToolBatch) -> LedgerFlow:
        """A call of `batch` waits for somebody, and will run again. What was asked for is charged all the same."""
        if batch.asked is None:
            yield from self._meter.release(batch.held, "interrupted")

    def recall(self, run: Run, asked: Iterable[Asked] | None) -> None:
        """Learn from the state what was charged before `run` began."""
        for record in asked or ():
            if record["id"] in run.batches or record["guard"] != self._meter.name:
                continue
            batch = run.batches.setdefault(record["id"], self._recalled(record))
            run.asked_for.update(record["calls"])
            run.unsettled.update(dict.fromkeys(batch.open, batch))
            if record.get("open"):
                run.unsaid[record["id"]] = batch

    def _recalled(self, record: Asked) -> ToolBatch:
        calls = [ToolCall(id, name) for id, name in record["calls"].items()]
        worst = self._meter.pricing.of_tools(call.name for call in calls)
        waits_for = self._by_unit(calls) if record.get("open") else {}
        return ToolBatch(Held(record["id"], NO_MODEL), worst, waits_for, record)

    def read(self, run: Run, messages: Sequence[BaseMessage]) -> LedgerFlow:
        """Take from the history the ends that nobody watched: results of tools stand there, behind the questions."""
        asked: set[str | None] = set()
        for message in reversed(messages if run.unsettled else ()):
            if isinstance(message, AIMessage):
                asked.update(call["id"] for call in message.tool_calls)
            if not isinstance(message, ToolMessage) or message.tool_call_id in asked:
                continue  # Some models name their calls alike in each answer.
            if batch := run.unsettled.pop(message.tool_call_id, None):
                yield from self.end(batch, message.tool_call_id, message)

    def news(self, run: Run | None) -> list[Asked]:
        """What the state does not have yet of the calls that were asked for."""
        if run is None:
            return []
        found: list[Asked] = []
        for id, batch in list(run.unsaid.items()):
            assert batch.asked is not None
            now: Asked = {**batch.asked, "open": bool(batch.open)}
            if now != batch.asked:
                found.append(now)
                batch.asked = now
            if not now["open"]:
                run.unsaid.pop(id, None)
        return found

    def _by_unit(self, calls: Sequence[ToolCall]) -> dict[Hashable, ToolPrice]:
        tools = self._meter.pricing.tools
        return {call.id: tools[call.name] for call in calls if call.name in tools and tools[call.name].most_units}

    def _settle(self, batch: ToolBatch) -> LedgerFlow:
        if not batch.costs:
            yield [Settle(batch.held.id)]
        else:
            outcome: Outcome = "answered" if batch.measured else "unmeasured"
            yield from self._meter.close(batch.held, {"usd": batch.usd}, outcome)
