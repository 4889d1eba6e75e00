"""What a hard look at the meter found: each of these once went wrong."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_guard import Budget, BudgetCheckNode, BudgetExceeded, FinishNode, Limit, MemoryBackend, guard_report
from langgraph_guard.backends import SystemClock
from langgraph_guard.policies.ledger import Account, Charge, Read, Reserve
from langgraph_guard.testing import FakeClock, ScriptedChatModel, calls, says
from tests.nodes.agents import answers_after, asks, loops, react, thread
from tests.nodes.test_in_the_wild import budget_of, spent


def held(budget: BudgetCheckNode, unit: str = "usd") -> int:
    """What is reserved in the thread's name."""
    ((balance,),) = budget._ledger.execute([Read((Account("", "session", "t", unit),))])  # type: ignore[misc]
    return int(balance.reserved)


def test_two_budgets_of_the_same_name_both_count() -> None:
    """Everybody's budget is called "budget"."""
    one, two = budget_of(Limit("model_calls", 10, per="session")), budget_of(Limit("model_calls", 10, per="session"))
    metered = one.model(loops())
    RunnableLambda(metered.invoke).invoke("hi", {**thread(), "callbacks": [two.callback()]})
    RunnableLambda(two.track(lambda question: {"messages": [metered.invoke(question)]})).invoke("hi", thread())
    two.model(metered).invoke("hi", thread())
    assert spent(one, "model_calls") == spent(two, "model_calls") == 3


class CollectingClock(SystemClock):
    """A clock that collects garbage when it is read, as an allocation may at any time."""

    def now(self) -> float:
        gc.collect()
        return super().now()


def test_a_stream_that_is_collected_while_the_ledger_works_is_closed() -> None:
    """The collector runs wherever it likes, also inside the ledger's lock."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend(clock=CollectingClock()))
    model = budget.model(ScriptedChatModel([says("word " * 50)], repeat_last=True, max_tokens=100))
    holder: list[Any] = [model.stream("hi", thread())]
    next(holder[0])
    holder.append(holder)
    del holder
    model.invoke("hi", thread())
    assert held(budget) == 0
    assert spent(budget, "model_calls") == 2


@pytest.mark.parametrize("bound", [{"max_completion_tokens": 100}, {"max_tokens": 100}])
def test_a_cap_under_another_name_is_not_raised(bound: dict[str, int]) -> None:
    """Clients have several words for it, and the smaller one is meant."""
    budget = budget_of(Limit("usd", 1, per="session"))
    metered = budget.model(ChatOpenAI(model="gpt-4o-mini", api_key="none"))  # type: ignore[arg-type]
    assert metered.own_cap(bound) == 100
    assert metered.capped(bound, 50) == {"max_completion_tokens": 50}, "the word that its client lets win"


def test_several_answers_at_once_are_reserved_for() -> None:
    """Each of five choices may be as long as the cap."""
    budget = budget_of(Limit("tokens", 2_000, per="session"))
    model = ScriptedChatModel([says("ok")], repeat_last=True, max_tokens=1_000)
    budget.model(model).invoke("hi", thread(), n=5)
    assert model.calls[0].max_tokens is not None
    assert model.calls[0].max_tokens * 5 <= 2_000


@pytest.mark.parametrize("by", ["track", "callback"])
async def test_cancelling_a_model_that_nobody_wrapped_leaves_nothing_reserved(by: str) -> None:
    """LangChain does not tell a callback about it."""
    budget = budget_of(Limit("usd", 1, per="session"))
    never = asyncio.Event()

    class Stuck(FakeClock):
        async def asleep(self, seconds: float) -> None:
            await never.wait()

    model = ScriptedChatModel([calls("x", delay=5)], clock=Stuck(), max_tokens=100)

    async def node(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke("hi")]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(node) if by == "track" else node)
    graph.add_edge(START, "model")
    config = {**thread(), "callbacks": [budget.callback()] if by == "callback" else []}
    running = asyncio.ensure_future(graph.compile().ainvoke(asks(), config))
    while model.call_count == 0:  # noqa: ASYNC110 - nothing tells when a model was called
        await asyncio.sleep(0)
    assert held(budget) > 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert held(budget) == 0
    assert budget.callback()._open == {}


def test_a_denial_in_a_graph_that_keeps_no_verdicts_is_an_exception() -> None:
    """A verdict that nobody keeps would be silence."""
    budget = budget_of(Limit("model_calls", 1, per="session"))
    metered = budget.model(loops())
    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(lambda state: {"messages": [metered.invoke("hi").text]}))
    graph.add_edge(START, "model")
    app = graph.compile()
    app.invoke(asks(), thread())
    with pytest.raises(BudgetExceeded):
        app.invoke(asks(), thread())


def test_a_resumed_program_without_state_carries_on_its_turn() -> None:
    """The functional API keeps no guard keys; the ledger knows which turn is open, and each resume is in it."""
    budget = budget_of(Limit("model_calls", 2, per="turn"))
    model = ScriptedChatModel([says("ok")], repeat_last=True)
    metered = budget.model(model)

    @task
    def ask(number: int) -> str:
        return str(metered.invoke("hi").text)

    @entrypoint(checkpointer=InMemorySaver())
    def flow(question: str) -> None:
        for number in range(5):
            ask(number).result()
            interrupt("go on?")

    flow.invoke("hi", thread())
    flow.invoke(Command(resume=True), thread())
    with pytest.raises(BudgetExceeded):
        flow.invoke(Command(resume=True), thread())
    assert model.call_count == 2


def test_tool_calls_in_commands_are_counted() -> None:
    """A node may answer with a `Command`."""
    budget = budget_of(Limit("tool_calls", 5, per="turn"))
    asked = AIMessage("", id="m", tool_calls=[{"name": "a", "args": {}, "id": str(n)} for n in range(2)])
    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(lambda state: Command(update={"messages": [asked]})))
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "model")
    graph.compile().invoke(asks(), thread())
    assert spent(budget, "tool_calls") == 2


def test_history_that_a_node_returns_again_is_not_counted_again() -> None:
    """A tracked agent gives back all its messages, answered calls included."""
    budget = budget_of(Limit("tool_calls", 5, per="turn"))
    asked = AIMessage("", id="m1", tool_calls=[{"name": "a", "args": {}, "id": "1"}])
    answer = ToolMessage("done", tool_call_id="1", id="m2")
    again = AIMessage("", id="m3", tool_calls=[{"name": "a", "args": {}, "id": "2"}])

    def node(state: MessagesState) -> Any:
        return {"messages": [*state["messages"], *([asked, answer] if len(state["messages"]) == 1 else [again])]}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("one", budget.track(node))
    graph.add_node("two", budget.track(node))
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "one")
    graph.add_edge("one", "two")
    graph.compile().invoke(asks(), thread())
    assert spent(budget, "tool_calls") == 1, "one was answered inside, one is asked for"


def test_metering_a_metered_model_again_charges_once() -> None:
    """`budget.model(budget.model(llm), landing=True)` is easily written."""
    budget = budget_of(Limit("usd", 1, per="session"))
    model = budget.model(budget.model(loops()), landing=True, min_output=10)
    model.invoke("hi", thread())
    assert spent(budget, "model_calls") == 1
    assert (model.landing, model.min_output) == (True, 10)


def test_a_halt_is_over_when_its_guard_says_so(saver: Any) -> None:
    """A minute later there is room again, in the same turn."""
    clock = FakeClock()
    backend = MemoryBackend(clock=clock)
    budget = BudgetCheckNode(Budget([Limit("model_calls", 1, per="session", window="minute")]), backend)
    metered = budget.model(answers_after(0))

    def pause(state: MessagesState) -> Any:
        interrupt("wait a minute")
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(lambda state: {"messages": [metered.invoke("hi")]}))
    graph.add_node("pause", pause)
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded="pause"))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools=END, end=END, exceeded="pause"))
    graph.add_edge("pause", "gate")
    app: Any = graph.compile(checkpointer=saver)
    budget._ledger.execute([Reserve("x", (Charge(Account("", "session", "t", "model_calls", "minute"), 1),))])
    app.invoke(asks(), thread())
    clock.advance(61)
    final = app.invoke(Command(resume=True), thread())
    assert final["messages"][-1].text == "It has shipped."
    assert app.get_state(thread()).next == (), "it ended, and was not sent to wait again"
    assert guard_report(app, thread()).status == "ok"


def test_a_denial_writes_nothing_at_all() -> None:
    """Not even that it was denied: a hundred refusals an hour are no memory."""
    budget = budget_of(Limit("model_calls", 1, per="session"))
    model = budget.model(loops())
    model.invoke("hi", thread())
    rows = len(budget._ledger._rows)  # type: ignore[attr-defined]
    for _ in range(10):
        with pytest.raises(BudgetExceeded):
            model.invoke("hi", thread())
    assert len(budget._ledger._rows) == rows  # type: ignore[attr-defined]


def test_a_latched_denial_keeps_no_frames() -> None:
    """The same refusal for the rest of the run, but not the same traceback growing."""
    budget = budget_of(Limit("model_calls", 1, per="turn"))
    metered = budget.model(loops())
    depths: list[int] = []

    def stubborn(state: MessagesState) -> Any:
        for _ in range(20):
            try:
                metered.invoke("hi")
            except BudgetExceeded as error:
                trace, depth = error.__traceback__, 0
                while trace is not None:
                    trace, depth = trace.tb_next, depth + 1
                depths.append(depth)
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("node", stubborn)
    graph.add_edge(START, "node")
    graph.compile().invoke(asks(), thread())
    assert max(depths[2:]) == min(depths[2:])


async def test_a_denial_in_a_task_group_is_a_verdict() -> None:
    """`asyncio.TaskGroup` wraps what its tasks raise."""
    budget = budget_of(Limit("model_calls", 1, per="turn"))
    metered = budget.model(loops())

    async def node(state: MessagesState) -> Any:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(metered.ainvoke("hi"))

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("node", budget.track(node))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "node")
    graph.add_conditional_edges("node", budget.after_model, budget.paths(tools=END, end=END, exceeded="finish"))
    final = await graph.compile().ainvoke(asks(), thread())
    assert final["messages"][-1].response_metadata["guard"]["status"] == "limit_calls"


@pytest.mark.parametrize("told", [(0, 0), (-100_000, 5), (None, None), (True, 5), (5, -1)])
def test_a_report_that_cannot_be_is_no_anchor(told: tuple[Any, Any]) -> None:
    """A history whose last answer reports nonsense is counted by what it says."""
    read, written = told
    odd = AIMessage("yes")
    odd.usage_metadata = {"input_tokens": read, "output_tokens": written, "total_tokens": 0}
    budget = budget_of(Limit("usd", 1, per="session"))
    model = ScriptedChatModel([says("ok", usage=None)], max_tokens=100)
    budget.model(model).invoke([HumanMessage("word " * 600), odd, HumanMessage("and?")], thread())
    assert spent(budget, "tokens") > 600 + 100, "what was reserved, because the answer reports nothing"


def test_a_thread_id_may_be_a_uuid() -> None:
    """Many people's are."""
    import uuid

    id = uuid.UUID(int=7)
    agent = react([Limit("usd", 1, per="session")], answers_after(0))
    agent.app.invoke(asks(), {"configurable": {"thread_id": id}})
    assert agent.spent(str(id)) > 0


def test_hosts_that_replace_their_messages_have_turns_too() -> None:
    """A list without a reducer, of messages without ids."""
    from typing_extensions import TypedDict

    budget = budget_of(Limit("model_calls", 1, per="turn"))
    model = loops()
    metered = budget.model(model)

    class Host(TypedDict):
        messages: list[Any]

    graph = StateGraph(Host)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(lambda state: {"messages": [metered.invoke("hi")]}))
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded=END))
    app = graph.compile(checkpointer=InMemorySaver())
    for turn in (1, 2, 3):
        app.invoke({"messages": [HumanMessage("hi")]}, thread())
        assert model.call_count == turn
