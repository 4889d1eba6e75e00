"""The meter: one reservation per attempt, closed whatever happens, and never two for one call."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard import Budget, BudgetCheckNode, BudgetExceeded, IdentityMissing, Limit, MemoryBackend, PriceUnknown
from langgraph_guard.backends.memory import MemoryLedger
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.events import subscribe
from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import Account, Balance, Charge, Expire, Extend, Freeze, Owner, Read, Reserve
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, fails, says
from tests.nodes.agents import TOOLS, asks, thread

USAGE = (8_000, 400)
COST = 1_440
"""Of `USAGE` in micro-USD, gpt-4o-mini: 8,000 x 0.15 + 400 x 0.60."""

RESERVED = 302
"""Of "hi" and 500 tokens of output: 9 x 0.15 (8 estimated, and half as much again up to the bound) + 500 x 0.60."""

HONEST = says("word " * 200)
"""An answer whose usage follows from its text: 4 tokens read, 250 written."""


def answering(*replies: Any, **settings: Any) -> ScriptedChatModel:
    """A model that gives `replies`, and the last of them for ever."""
    return ScriptedChatModel(list(replies) or [says("yes", usage=USAGE)], repeat_last=True, **settings)


def budget_of(*limits: Limit, backend: MemoryBackend | None = None, **settings: Any) -> BudgetCheckNode:
    """A budget of `limits`, a dollar per session unless told otherwise."""
    return BudgetCheckNode(Budget(limits or [Limit("usd", 1, per="session")]), backend or MemoryBackend(), **settings)


def balances(
    budget: BudgetCheckNode, scope: str = "session", id: str = "t", window: str | None = None
) -> dict[str, Balance]:
    """What the ledger says of one owner, by unit."""
    accounts = tuple(Account("", scope, id, unit, window) for unit in LEDGER_UNITS)
    (found,) = budget._ledger.execute([Read(accounts)])
    return dict(zip(LEDGER_UNITS, found, strict=True))  # type: ignore[arg-type]


def spent(budget: BudgetCheckNode, unit: str = "usd") -> int:
    """What the thread has spent."""
    return balances(budget)[unit].spent


def held(budget: BudgetCheckNode) -> int:
    """What is reserved in the thread's name."""
    return sum(balance.reserved for balance in balances(budget).values())


# What it wraps


@pytest.mark.parametrize(
    "build",
    [
        lambda llm: llm,
        lambda llm: llm.bind_tools(TOOLS),
        lambda llm: llm.bind(stop=["."]),
        lambda llm: llm.with_config(tags=["x"]),
        lambda llm: llm.with_retry(),
        lambda llm: llm.with_fallbacks([llm]),
        lambda llm: ChatPromptTemplate.from_messages([("human", "{q}")]) | llm | StrOutputParser(),
    ],
)
async def test_whatever_is_built_around_a_chat_model_is_metered(build: Callable[[Any], Any]) -> None:
    """People wrap models in many ways before they think of a budget; and afterwards."""
    budget = budget_of()
    model = budget.model(build(answering()))
    question: Any = {"q": "hi"} if "Sequence" in type(model).__name__ else "hi"
    model.invoke(question, thread())
    await model.ainvoke(question, thread())
    list(model.stream(question, thread()))
    [chunk async for chunk in model.astream(question, thread())]
    model.batch([question, question], thread())
    assert spent(budget) == 6 * COST
    assert spent(budget, "model_calls") == 6
    assert held(budget) == 0


async def test_tools_and_structure_bound_later_are_metered_too() -> None:
    """`budget.model(llm).bind_tools(…)` reads as well as the other way round."""
    budget = budget_of()
    metered = budget.model(answering())
    metered.bind_tools(TOOLS).invoke("hi", thread())
    assert spent(budget) == COST
    assert metered.bind_tools(TOOLS).invoke("hi", thread()).text == "yes"


def test_what_is_no_model_is_refused() -> None:
    """A wrong argument fails where it is given."""
    with pytest.raises(ValueError, match="model"):
        budget_of().model(StrOutputParser())


def test_each_attempt_of_a_retry_has_its_own_reservation() -> None:
    """An attempt that failed after it was sent may have been billed."""
    budget = budget_of()
    model = answering(
        fails(TimeoutError("read")), fails(TimeoutError("read")), says("yes", usage=USAGE), max_tokens=500
    )
    budget.model(model.with_retry(wait_exponential_jitter=False)).invoke("hi", thread())
    assert spent(budget, "model_calls") == 3
    assert spent(budget) > COST


def test_a_retry_does_not_try_a_denial_again() -> None:
    """It would be denied again, after a wait."""
    budget = budget_of(Limit("model_calls", 1, per="session"))
    model = budget.model(answering().with_retry(stop_after_attempt=5))
    model.invoke("hi", thread())
    denied: list[str] = []
    unsubscribe = subscribe(lambda name, _: denied.append(name) if name == "budget.denied" else None)
    with pytest.raises(BudgetExceeded):
        model.invoke("hi", thread())
    unsubscribe()
    assert len(denied) == 1


# What it costs


OUTCOMES = [
    (says("yes", usage=USAGE), COST),
    (says("yes", usage=None), "reserved"),
    (says("yes", usage={"input_tokens": -5, "output_tokens": 2, "total_tokens": -3}), "reserved"),
    (fails(httpx.ConnectError("no route")), 0),
    (fails(ConnectionRefusedError()), 0),
    (fails(httpx.ReadTimeout("slow")), "reserved"),
    (fails(RuntimeError("unknown")), "reserved"),
    (fails(asyncio.CancelledError()), "reserved"),
]


@pytest.mark.parametrize(("reply", "cost"), OUTCOMES)
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_every_outcome_closes_its_reservation(reply: Any, cost: Any, how: str) -> None:
    """Released only when nothing was sent for certain; the whole reservation when nobody knows."""
    budget = budget_of()
    model = budget.model(answering(reply, max_tokens=500))
    try:
        if how == "invoke":
            model.invoke("hi", thread())
        elif how == "ainvoke":
            await model.ainvoke("hi", thread())
        elif how == "stream":
            list(model.stream("hi", thread()))
        else:
            [chunk async for chunk in model.astream("hi", thread())]
    except (Exception, KeyboardInterrupt, asyncio.CancelledError):
        pass
    assert held(budget) == 0
    assert spent(budget) == (RESERVED if cost == "reserved" else cost)


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_a_stream_that_is_cut_costs_what_was_reserved(how: str) -> None:
    """The provider went on writing, for all we know."""
    budget = budget_of()
    long = "word " * 50
    model = budget.model(
        answering(Reply(text=long, usage=USAGE, error=httpx.ReadError("cut"), error_after=3), max_tokens=500)
    )
    with pytest.raises(httpx.ReadError):
        if how == "stream":
            list(model.stream("hi", thread()))
        else:
            [chunk async for chunk in model.astream("hi", thread())]
    assert spent(budget) == RESERVED
    assert held(budget) == 0


async def test_a_stream_that_nobody_reads_to_its_end_is_closed() -> None:
    """A client that went away leaves nothing reserved."""
    budget = budget_of()
    model = budget.model(answering(Reply(text="word " * 50, usage=USAGE), max_tokens=500))
    chunks = model.stream("hi", thread())
    next(chunks)
    chunks.close()
    async_chunks = model.astream("hi", thread())
    await anext(async_chunks)
    await async_chunks.aclose()
    assert spent(budget) == 2 * RESERVED
    assert held(budget) == 0


def test_an_answer_from_the_cache_is_free() -> None:
    """LangChain's cache answers without the provider."""
    budget = budget_of()
    model = budget.model(answering(cache=InMemoryCache()))
    assert [model.invoke("hi", thread()).text for _ in range(3)] == ["yes"] * 3
    assert spent(budget, "model_calls") == 1
    assert spent(budget) == COST


def test_the_cap_is_what_was_reserved() -> None:
    """The bound holds because the provider is told about it."""
    budget = budget_of(Limit("usd", 0.001, per="session"))
    model = answering(says("word " * 10_000))
    message = budget.model(model).invoke("hi", thread())
    assert message.response_metadata["finish_reason"] == "length"
    assert model.calls[0].max_tokens is not None
    assert 1_000 < model.calls[0].max_tokens < 1_667
    assert spent(budget) <= 1_000


def test_ones_own_cap_is_only_lowered() -> None:
    """Who asked for 100 tokens gets no more."""
    model = answering(max_tokens=100)
    budget_of().model(model).invoke("hi", thread())
    budget_of().model(model).invoke("hi", thread(), max_tokens=50)
    assert [call.max_tokens for call in model.calls] == [100, 50]


# Never twice


def test_nested_meters_charge_once() -> None:
    """A wrapped model, in a tracked node, in a run with the callback: one call, one charge."""
    budget = budget_of()
    model = budget.model(budget.model(answering()))

    def call(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("model", budget.track(budget.track(call)))
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "model")
    graph.compile().invoke(asks(), {**thread(), "callbacks": [budget.callback(), budget.callback()]})
    assert spent(budget) == COST
    assert spent(budget, "model_calls") == 1


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "astream"])
@pytest.mark.parametrize("by", ["track", "callback", "both"])
async def test_models_that_nobody_wrapped_are_seen(by: str, how: str) -> None:
    """A model deep in a tool counts as well."""
    budget = budget_of()
    inner = answering()

    @tool
    def ask_an_expert(question: str) -> str:
        """Ask."""
        return inner.invoke(question).text

    def node(state: MessagesState) -> Any:
        inner.invoke("in the node")
        return {
            "messages": [AIMessage("", tool_calls=[{"name": "ask_an_expert", "args": {"question": "?"}, "id": "1"}])]
        }

    watched = budget.track if by != "callback" else lambda each: each
    graph = StateGraph(MessagesState)
    graph.add_node("node", watched(node))
    graph.add_node("tools", watched(ToolNode([ask_an_expert])))
    graph.add_edge(START, "node")
    graph.add_edge("node", "tools")
    app = graph.compile()
    config = {**thread(), "callbacks": [budget.callback()] if by != "track" else []}
    if how == "invoke":
        app.invoke(asks(), config)
    elif how == "ainvoke":
        await app.ainvoke(asks(), config)
    else:
        [part async for part in app.astream(asks(), config, stream_mode="messages")]
    assert spent(budget) == 2 * COST
    assert spent(budget, "tool_calls") == 1
    assert held(budget) == 0


def test_a_callback_refuses_before_the_call() -> None:
    """Without a cap the bound is weaker by one answer; the call after that is refused."""
    budget = budget_of(Limit("usd", 0.004, per="session"))
    model = answering(max_tokens=500)
    config = {**thread(), "callbacks": [budget.callback()]}
    chain = RunnableLambda(model.invoke)
    with pytest.raises(BudgetExceeded):
        for _ in range(10):
            chain.invoke("hi", config)
    assert model.call_count == 3
    assert spent(budget) == 3 * COST


# Many at once

TRIALS = 50


def test_64_threads_cannot_overspend() -> None:
    """Check-then-add overspends by the number of workers; reserve-then-settle cannot."""
    for _ in range(TRIALS):
        budget = budget_of(Limit("usd", 0.005, per="session"), Limit("model_calls", 40, per="global"))
        model = budget.model(answering(HONEST, max_tokens=1_000))

        def work(_: int, model: Any = model) -> None:
            with suppress(BudgetExceeded):
                model.invoke("hi", thread())

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(work, range(64)))
        assert 0 < spent(budget) <= 5_000
        assert held(budget) == 0


async def test_200_tasks_cannot_overspend() -> None:
    """The same on an event loop, some of them cancelled on their way."""
    for trial in range(TRIALS):
        budget = budget_of(Limit("usd", 0.005, per="session"))
        model = budget.model(answering(HONEST, max_tokens=1_000))

        async def work(model: Any = model) -> None:
            with suppress(BudgetExceeded):
                await model.ainvoke("hi", thread())

        tasks = [asyncio.ensure_future(work()) for _ in range(200)]
        await asyncio.sleep(0)
        for task in tasks[trial::7]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert 0 < spent(budget) <= 5_000
        assert held(budget) == 0


@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_an_interrupted_call_costs_what_was_reserved(how: str) -> None:
    """Ctrl-C while the provider writes: it is billed, for all we know."""
    budget = budget_of()
    model = budget.model(answering(fails(KeyboardInterrupt()), max_tokens=500))
    with pytest.raises(KeyboardInterrupt):
        model.invoke("hi", thread()) if how == "invoke" else list(model.stream("hi", thread()))
    assert spent(budget) == RESERVED
    assert held(budget) == 0


class InterruptAt:
    """Ctrl-C at the n-th place where Python lets a signal in: as a function begins, and after a built-in returns."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __enter__(self) -> InterruptAt:
        sys.setprofile(self.watch)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def watch(self, frame: Any, event: str, argument: object) -> None:
        if event in ("call", "c_return") and "langgraph_guard" in frame.f_code.co_filename:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that falls into a destructor
def test_an_interrupt_from_the_keyboard_leaves_nothing_reserved() -> None:
    """Wherever it falls: before the reservation, between it and the call, or while it is settled."""
    budget = budget_of(Limit("usd", 1_000, per="session"))
    model = budget.model(ScriptedChatModel(lambda _: says("yes", usage=(4, 10)), max_tokens=100))
    model.invoke("hi", thread())
    left_open, number, fired = [], 0, True
    while fired:
        number += 1
        with suppress(KeyboardInterrupt), InterruptAt(number) as interrupt:
            model.invoke("hi", thread())
        fired = interrupt.left <= 0
        if held(budget):
            left_open.append(number)
            budget = budget_of(Limit("usd", 1_000, per="session"))
            model = budget.model(ScriptedChatModel(lambda _: says("yes", usage=(4, 10)), max_tokens=100))
    assert number > 100, "it fell into many places"
    assert left_open == []


# Bad input


def test_a_model_without_a_price_is_refused_at_once() -> None:
    """Under a usd limit an unknown price is not 0: the graph does not even build."""
    with pytest.raises(PriceUnknown, match="frontier-9"):
        budget_of().model(answering(model_name="frontier-9"))


def test_a_price_that_goes_missing_at_the_call_is_refused_before_it() -> None:
    """The model's name may come with the call."""
    budget = budget_of()
    model = answering()
    with pytest.raises(PriceUnknown):
        budget.model(model).invoke("hi", thread(), model="frontier-9")
    assert model.call_count == 0
    assert balances(budget)["model_calls"] == Balance()


def test_without_a_usd_limit_no_price_is_needed() -> None:
    """Tokens and calls can be limited for any model."""
    budget = budget_of(Limit("tokens", 100_000, per="session"))
    budget.model(answering(model_name="frontier-9")).invoke("hi", thread())
    assert spent(budget, "tokens") == 8_400
    assert spent(budget, "usd") == 0


@pytest.mark.parametrize(
    ("per", "config"),
    [("session", {}), ("user", {"thread_id": "t"}), ("turn", {}), ("user", {"thread_id": "t", "user_id": ""})],
)
def test_a_limit_whose_owner_is_unknown_fails_closed(per: str, config: dict[str, str]) -> None:
    """Nobody's money is not everybody's."""
    budget = budget_of(Limit("usd", 1, per=per))
    model = answering()
    with pytest.raises(IdentityMissing, match=per):
        budget.model(model).invoke("hi", {"configurable": config})
    assert model.call_count == 0


def test_an_over_long_input_never_reaches_the_model() -> None:
    """The pasted handbook: refused before it costs anything, and the next message goes through."""
    budget = budget_of(Limit("tokens", 2_000, per="call"))
    model = answering(says("yes", usage=(100, 10)))
    metered = budget.model(model)
    with pytest.raises(BudgetExceeded, match="per call"):
        metered.invoke("handbook " * 10_000, thread())
    metered.invoke("short", thread())
    assert model.call_count == 1
    assert balances(budget)["model_calls"].spent == 1


def test_messages_without_ids_are_fine() -> None:
    """Not every host stamps them."""
    budget = budget_of()
    budget.model(answering()).invoke([HumanMessage("hi"), AIMessage("yes"), HumanMessage("again")], thread())
    assert spent(budget) == COST


# Long calls


class Stream:
    """A long answer, and time that passes while it is read: 25 seconds a part, under a lease of a minute."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(clock=self.clock)
        self.budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")], lease=60), self.backend)
        self.model = answering(says("a b c d e f g h", usage=USAGE))
        self.seen: list[Any] = []

    def goes_on(self) -> None:
        """Time passes, and another worker closes what is due."""
        self.clock.advance(25)
        (expired,) = self.backend.ledger.execute([Expire()])
        self.seen.append((expired, spent(self.budget), held(self.budget) > 0))

    def was_never_charged_as_an_orphan(self) -> bool:
        return len(self.seen) * 25 > 3 * 60 and set(self.seen) == {(0, 0, True)}


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_a_stream_keeps_its_reservation_as_long_as_it_goes_on(how: str) -> None:
    """Charged in full halfway, it would refuse others for want of room that there is."""
    stream = Stream()
    model = stream.budget.model(stream.model)
    if how == "stream":
        for _ in model.stream("hi", thread()):
            stream.goes_on()
    else:
        async for _ in model.astream("hi", thread()):
            stream.goes_on()
    assert stream.was_never_charged_as_an_orphan()
    assert (spent(stream.budget), held(stream.budget)) == (COST, 0)


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_stream_that_is_only_watched_keeps_its_reservation_too(how: str) -> None:
    """A model that nobody wrapped says through its callbacks that it goes on."""
    stream = Stream()

    def read(question: str) -> None:
        for _ in stream.model.stream(question):
            stream.goes_on()

    async def aread(question: str) -> None:
        async for _ in stream.model.astream(question):
            stream.goes_on()

    reader, config = RunnableLambda(read, aread), {**thread(), "callbacks": [stream.budget.callback()]}
    if how == "invoke":
        reader.invoke("hi", config)
    else:
        await reader.ainvoke("hi", config)
    assert stream.was_never_charged_as_an_orphan()
    assert (spent(stream.budget), held(stream.budget)) == (COST, 0)


def test_a_stream_that_paused_for_longer_than_its_lease_is_settled_all_the_same() -> None:
    """It is charged in full meanwhile, and what it did cost is known in the end."""
    stream = Stream()
    for _ in stream.budget.model(stream.model).stream("hi", thread()):
        stream.clock.advance(70)
    assert (spent(stream.budget), held(stream.budget)) == (COST, 0)


def test_a_ledger_that_fails_meanwhile_does_not_end_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is on its way; at the worst it is charged in full until it is settled."""
    stream = Stream()
    execute = MemoryLedger.execute

    def away(ledger: MemoryLedger, commands: Any) -> Any:
        if any(isinstance(command, Extend) for command in commands):
            raise BudgetUnavailable("redis", 2.0)
        return execute(ledger, commands)

    monkeypatch.setattr(MemoryLedger, "execute", away)
    parts = 0
    for _ in stream.budget.model(stream.model).stream("hi", thread()):
        stream.clock.advance(25)
        parts += 1
    assert parts > 7
    assert (spent(stream.budget), held(stream.budget)) == (COST, 0)


# Frozen


@pytest.mark.parametrize("owner", [Owner("", "session", "t"), Owner("", "global", "")], ids=["counted", "limited"])
def test_who_is_frozen_is_refused_at_once(owner: Owner) -> None:
    """With room, with a limit that queues, and where nothing is limited: no wait helps."""
    clock = FakeClock()
    backend = MemoryBackend(clock=clock)
    budget = budget_of(Limit("model_calls", 9, per="global", window="minute", wait=600), backend=backend)
    model = answering()
    everyone = Account("", "global", "", "model_calls", "minute")
    backend.ledger.execute([Reserve("under way", (Charge(everyone, 1),)), Freeze(owner, "ada")])
    with pytest.raises(BudgetExceeded, match="is frozen") as refused:
        budget.model(model).invoke("hi", thread())
    assert (refused.value.frozen, refused.value.retry_after, refused.value.scope) == (True, None, owner.scope)
    assert (model.call_count, clock.slept) == (0, [])


def test_tools_of_who_is_frozen_are_refused() -> None:
    """They act on the world, and some of them cost money."""
    backend = MemoryBackend()
    budget = budget_of(backend=backend)
    backend.ledger.execute([Freeze(Owner("", "session", "t"), "ada")])
    config = {**thread(), "callbacks": [budget.callback()]}
    with pytest.raises(BudgetExceeded) as refused:
        RunnableLambda(lambda order: TOOLS[0].invoke({"order_id": order})).invoke("A1", config)
    assert (refused.value.frozen, refused.value.unit) == (True, "tool_calls")


def test_a_tools_reservation_whose_answer_was_lost_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ran, so nothing may stay held until a lease ends."""
    backend = MemoryBackend()
    budget = budget_of(backend=backend)
    execute = MemoryLedger.execute

    def lossy(ledger: MemoryLedger, commands: Any) -> Any:
        replies = execute(ledger, commands)
        if any(isinstance(command, Reserve) for command in commands):
            raise BudgetUnavailable("redis", 2.0)
        return replies

    monkeypatch.setattr(MemoryLedger, "execute", lossy)
    config = {**thread(), "callbacks": [budget.callback()]}
    with pytest.raises(BudgetUnavailable):
        RunnableLambda(lambda order: TOOLS[0].invoke({"order_id": order})).invoke("A1", config)
    asked = Account("", "session", "t", "tool_calls")
    assert backend.ledger.execute([Read((asked,))]) == [(Balance(),)]


# Waiting


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_limit_may_queue_instead_of_refusing(how: str) -> None:
    """Ten calls at three a minute take three more minutes, and none is lost."""
    clock = FakeClock()
    backend = MemoryBackend(clock=clock)
    budget = budget_of(Limit("model_calls", 3, per="global", window="minute", wait=600), backend=backend)
    model = budget.model(answering())
    for _ in range(10):
        if how == "invoke":
            model.invoke("hi", thread())
        else:
            await model.ainvoke("hi", thread())
    assert spent(budget, "model_calls") == 10
    assert sum(clock.slept) == pytest.approx(180, abs=1)
    assert len(clock.slept) == 3, "it sleeps until there is room, and does not keep asking"


def test_waiting_that_cannot_help_is_not_begun() -> None:
    """The day is long; who may wait for ten seconds is told at once when to come back."""
    clock = FakeClock()
    budget = budget_of(Limit("model_calls", 1, per="global", window="day", wait=10), backend=MemoryBackend(clock=clock))
    model = budget.model(answering())
    model.invoke("hi", thread())
    with pytest.raises(BudgetExceeded) as refused:
        model.invoke("hi", thread())
    assert clock.slept == []
    assert refused.value.retry_after == 86_400


async def test_waiting_can_be_cancelled() -> None:
    """Who queues holds nothing, and may leave."""
    budget = budget_of(Limit("model_calls", 1, per="global", window="day", wait=100_000))
    model = budget.model(answering())
    await model.ainvoke("hi", thread())
    queued = asyncio.ensure_future(model.ainvoke("hi", thread()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    assert held(budget) == 0


def test_room_comes_when_others_settle() -> None:
    """Worst-case reservations near the limit refuse calls that would have fitted: waiting for them helps."""
    started, finish = threading.Event(), threading.Event()
    budget = budget_of(Limit("usd", 0.0006, per="session", wait=30))

    def slow(messages: Any) -> Any:
        started.set()
        finish.wait(10)
        return says("yes", usage=(100, 10))

    first = budget.model(ScriptedChatModel(slow, max_tokens=900))
    second = budget.model(answering(says("yes", usage=(100, 10)), max_tokens=900), min_output=900)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first.invoke, "hi", thread())
        started.wait(10)
        other = pool.submit(second.invoke, "hi", thread())
        finish.set()
        assert one.result(20).text == other.result(20).text == "yes"
    assert spent(budget, "model_calls") == 2
