"""A tool call that a tracked model asked for is charged once, whatever interrupts and restarts come in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

from langgraph_guard import Budget, BudgetCheckNode, BudgetState, Limit, MemoryBackend, ToolPrice
from langgraph_guard.backends import Backend
from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import Account, Balance, Read
from langgraph_guard.state import KEPT_ASKED
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, says
from tests.nodes.agents import asks, thread

PRICES = {"web_search": ToolPrice("0.01"), "gpu": ToolPrice("0.002", per_unit="0.001", most_units=60)}
SEARCH, GPU_CALL, GPU_SECOND = 10_000, 2_000, 1_000
"""The same in micro-USD."""

MOST = GPU_CALL + 60 * GPU_SECOND

ran: list[str] = []
"""The tools that ran, in order."""


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Each test has its own record."""
    ran.clear()


@tool
def web_search(query: str) -> str:
    """Search the web."""
    ran.append("web_search")
    return "kites fly"


@tool(response_format="content_and_artifact")
def gpu(seconds: int) -> tuple[str, Any]:
    """Rent a GPU."""
    ran.append("gpu")
    return "done", {"units": seconds}


@tool
def pay(amount: int) -> str:
    """Pay an invoice, when somebody has agreed."""
    agreed = interrupt(f"pay {amount}?")
    ran.append("pay")
    return f"paid: {agreed}"


TOOLS: list[BaseTool] = [web_search, gpu, pay]


def wants(*tool_calls: tuple[str, dict[str, Any]]) -> Reply:
    """The model asks for tools, for a micro-dollar or two."""
    return Reply(tool_calls=list(tool_calls), usage=(1, 1))


SEARCHES = wants(("web_search", {"query": "kites"}))
BOTH = wants(("gpu", {"seconds": 7}), ("web_search", {"query": "kites"}), ("gpu", {"seconds": 5}))
COST_OF_BOTH = 2 * GPU_CALL + 12 * GPU_SECOND + SEARCH
ENDS = says("Kites fly.", usage=(1, 1))

WATCHED = ["model", "model, tools", "model, callback", "model, tools, callback"]
by_the_model = pytest.mark.parametrize("watched", WATCHED)
by_anybody = pytest.mark.parametrize("watched", [*WATCHED, "tools", "callback"])
both_ways = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


class Worker:
    """A process with a graph on what all share: the ledger and the checkpoints. `watched`: who sees the tools."""

    def __init__(
        self,
        watched: str,
        replies: list[Any],
        backend: Backend | None = None,
        saver: Any = None,
        *,
        gate: bool = True,
        sends: bool = False,
        pauses: bool = True,
    ) -> None:
        self.backend = backend or MemoryBackend(clock=FakeClock())
        self.saver = saver or InMemorySaver()
        self.budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), self.backend, tool_prices=PRICES)
        self.callbacks = [self.budget.callback()] if "callback" in watched else []
        llm = ScriptedChatModel(replies, repeat_last=True, max_tokens=300)
        model = self.budget.model(llm.bind_tools(TOOLS))

        def call_model(state: MessagesState) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        def route(state: MessagesState) -> Any:
            last = state["messages"][-1]
            assert isinstance(last, AIMessage)
            each = [Send("tools", [call]) for call in last.tool_calls]
            return (each if sends else "tools") if each else END

        track: Callable[[Any], Any] = self.budget.track
        graph = StateGraph(MessagesState if gate else _with_keys())
        graph.add_node("budget", self.budget if gate else lambda state: {})
        graph.add_node("model", track(call_model) if "model" in watched else call_model)
        tools = ToolNode(TOOLS, handle_tool_errors=True)
        graph.add_node("tools", track(tools) if "tools" in watched else tools)
        graph.add_edge(START, "budget")
        graph.add_edge("budget", "model")
        graph.add_conditional_edges("model", route, ["tools", END])
        graph.add_edge("tools", "budget")
        self.app: Any = graph.compile(checkpointer=self.saver, interrupt_before=["tools"] if pauses else [])

    async def run(self, input: Any, how: str = "invoke", at: Any = None) -> Any:
        config = {**(at or thread()), "callbacks": self.callbacks}
        return self.app.invoke(input, config) if how == "invoke" else await self.app.ainvoke(input, config)

    def balance(self, unit: str) -> Balance:
        ((found,),) = self.backend.ledger.execute([Read((Account("", "session", "t", unit),))])  # type: ignore[misc]
        return found

    @property
    def tools_spent(self) -> int:
        """What went to tools: each model call here costs a micro-dollar."""
        return self.balance("usd").spent - self.balance("model_calls").spent

    @property
    def tool_calls(self) -> int:
        return self.balance("tool_calls").spent

    @property
    def held(self) -> int:
        return sum(self.balance(unit).reserved for unit in LEDGER_UNITS)


def _with_keys() -> type:
    class State(MessagesState, BudgetState):
        """A state with the pack's keys in it, for a graph without a gate."""

    return State


# An interrupt between the question and the tool


@by_anybody
@both_ways
async def test_a_call_counts_once_when_the_run_is_interrupted_before_it(watched: str, how: str) -> None:
    """Somebody looks at each call of a tool; that must not halve what the budget is worth."""
    worker = Worker(watched, [SEARCHES, ENDS])
    await worker.run(asks(), how)
    await worker.run(None, how)
    assert (ran, worker.tool_calls, worker.tools_spent, worker.held) == (["web_search"], 1, SEARCH, 0)


@by_anybody
@both_ways
async def test_units_are_settled_by_the_run_that_resumes(watched: str, how: str) -> None:
    """What was held when the model asked is closed with what the tool says that it used."""
    worker = Worker(watched, [BOTH, ENDS])
    await worker.run(asks(), how)
    await worker.run(None, how)
    assert (sorted(ran), worker.tool_calls) == (["gpu", "gpu", "web_search"], 3)
    assert (worker.tools_spent, worker.held) == (COST_OF_BOTH, 0)


@by_anybody
async def test_another_process_resumes(watched: str) -> None:
    """The next worker knows what is in the checkpoint, and nothing else."""
    first = Worker(watched, [BOTH])
    await first.run(asks())
    second = Worker(watched, [ENDS], first.backend, first.saver)
    await second.run(None)
    assert (second.tool_calls, second.tools_spent, second.held) == (3, COST_OF_BOTH, 0)


@by_anybody
async def test_each_of_many_interrupts_is_resumed_by_another_process(watched: str) -> None:
    """An agent that asks before each tool is resumed again and again; what is settled stays settled."""
    worker = Worker(watched, [BOTH])
    await worker.run(asks())
    for reply in (SEARCHES, BOTH, ENDS):
        worker = Worker(watched, [reply], worker.backend, worker.saver)
        await worker.run(None)
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent, worker.held) == (7, 2 * COST_OF_BOTH + SEARCH, 0)


@by_the_model
async def test_a_ledger_that_has_forgotten_is_not_charged_again(watched: str) -> None:
    """A person may take until tomorrow; by then the reservation was charged with all that it could cost."""
    time = FakeClock()
    worker = Worker(watched, [BOTH, ENDS], MemoryBackend(clock=time))
    await worker.run(asks())
    time.advance(86_400)
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent, worker.held) == (3, 2 * MOST + SEARCH, 0)


@by_the_model
async def test_a_lease_that_ended_meanwhile_is_corrected(watched: str) -> None:
    """Ten minutes later the ledger still knows the reservation, and what it was charged with."""
    time = FakeClock()
    worker = Worker(watched, [BOTH, ENDS], MemoryBackend(clock=time))
    await worker.run(asks())
    time.advance(600)
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent, worker.held) == (3, COST_OF_BOTH, 0)


@by_the_model
async def test_calls_that_run_as_tasks_of_their_own_count_once(watched: str) -> None:
    """`Send` makes a task of each, and they run at the same time."""
    worker = Worker(watched, [BOTH, ENDS], sends=True)
    await worker.run(asks())
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent, worker.held) == (3, COST_OF_BOTH, 0)


@by_the_model
async def test_a_graph_without_a_gate_keeps_the_key_in_its_own_state(watched: str) -> None:
    """`GuardState` in the schema is enough."""
    worker = Worker(watched, [SEARCHES, ENDS], gate=False)
    await worker.run(asks())
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent) == (1, SEARCH)


# Time travel


@by_the_model
async def test_a_call_that_runs_again_from_an_older_checkpoint_is_charged_already(watched: str) -> None:
    """What is charged is the question; a replay behind it finds that in its state."""
    worker = Worker(watched, [BOTH, ENDS])
    await worker.run(asks())
    before_tools = worker.app.get_state(thread()).config
    await worker.run(None)
    await worker.run(None, at=before_tools)
    assert (len(ran), worker.tool_calls, worker.tools_spent, worker.held) == (6, 3, COST_OF_BOTH, 0)


@by_the_model
async def test_a_question_that_is_asked_again_is_charged_again(watched: str) -> None:
    """A replay from before the model is a new answer, and a new batch."""
    worker = Worker(watched, [SEARCHES, SEARCHES, ENDS])
    await worker.run(asks())
    [before_model] = [each for each in worker.app.get_state_history(thread()) if each.next == ("model",)]
    await worker.run(None, at=before_model.config)
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent) == (2, 2 * SEARCH)


# An interrupt inside of a tool


@by_anybody
@both_ways
async def test_a_tool_that_waits_for_a_person_counts_once(watched: str, how: str) -> None:
    """It begins again when the run resumes. An interrupt is not the end of a call."""
    worker = Worker(watched, [wants(("pay", {"amount": 5})), ENDS], pauses=False)
    await worker.run(asks(), how)
    assert worker.budget.callback()._open == {}
    await worker.run(Command(resume="yes"), how)
    assert (ran, worker.tool_calls, worker.held) == (["pay"], 1, 0)


@by_the_model
async def test_what_was_asked_for_beside_it_is_settled_when_it_has_run(watched: str) -> None:
    """Its neighbours of the same batch run again with it."""
    batch = wants(("gpu", {"seconds": 7}), ("pay", {"amount": 5}))
    worker = Worker(watched, [batch, ENDS], pauses=False, sends=True)
    await worker.run(asks())
    await worker.run(Command(resume="yes"))
    assert (sorted(ran), worker.tool_calls) == (["gpu", "pay"], 2)
    assert (worker.tools_spent, worker.held) == (GPU_CALL + 7 * GPU_SECOND, 0)


# What the state says


async def test_the_state_holds_batches_by_their_ids_and_few_of_them() -> None:
    """It is stored with each checkpoint."""
    worker = Worker("model, tools", [*[SEARCHES] * 40, BOTH, ENDS], pauses=False)
    await worker.run(asks(), at={**thread(), "recursion_limit": 200})
    asked = worker.app.get_state(thread()).values["guard_asked"]
    assert len(asked) == KEPT_ASKED
    assert sorted(asked[-1]["calls"].values()) == ["gpu", "gpu", "web_search"]
    assert [each["open"] for each in asked] == [False] * KEPT_ASKED


async def test_calls_that_nobody_asked_for_are_counted_where_they_run() -> None:
    """A person puts another call in the place of the model's: that one was never charged."""
    worker = Worker("model, tools", [SEARCHES, ENDS])
    await worker.run(asks())
    last = worker.app.get_state(thread()).values["messages"][-1]
    other: Any = {"name": "web_search", "args": {"query": "storks"}, "id": "by-hand", "type": "tool_call"}
    worker.app.update_state(thread(), {"messages": [AIMessage("", id=last.id, tool_calls=[other])]}, as_node="model")
    await worker.run(None)
    assert (worker.tool_calls, worker.tools_spent) == (2, 2 * SEARCH)


async def test_the_result_of_an_earlier_call_of_the_same_name_is_not_taken_for_this_ones() -> None:
    """Some models number their calls from 0 in each answer."""

    def rents(seconds: int) -> AIMessage:
        call: Any = {"name": "gpu", "args": {"seconds": seconds}, "id": "call_0", "type": "tool_call"}
        usage: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        return AIMessage("", tool_calls=[call], usage_metadata=usage)

    worker = Worker("model, tools", [rents(7), rents(30), ENDS])
    await worker.run(asks())
    await worker.run(None)
    await worker.run(None)
    results = [each for each in worker.app.get_state(thread()).values["messages"] if isinstance(each, ToolMessage)]
    assert (len(results), worker.tool_calls) == (2, 2)
    assert (worker.tools_spent, worker.held) == (2 * GPU_CALL + 37 * GPU_SECOND, 0)
