"""CircuitBreaker: nodes that are protected, tools that are offered, switches, and a backend that does not answer."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard.backends import BreakerRegistry, MemoryBackend
from langgraph_guard.errors import CircuitOpen, ConfigError, StoreUnavailable
from langgraph_guard.events import subscribe
from langgraph_guard.policies.breaker import FAILURE, BreakerSettings, Command, Outcome, Reply
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.breakers.concurrency import in_threads
from langgraph_guard.tools.breaker import CircuitBreaker, Permit, Refused
from langgraph_guard.tools.breaker.permits import Ids
from langgraph_guard.tools.breaker.shared import REJOIN
from langgraph_guard.tools.results.result import ToolResult

WAIT = 30


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    """A breaker on that time, without jitter."""
    return CircuitBreaker(MemoryBackend(tenant="acme", clock=clock), jitter=0)


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was said while the test ran."""
    said: list[tuple[str, dict[str, Any]]] = []
    stop = subscribe(lambda name, attributes: said.append((name, dict(attributes))))
    yield said
    stop()


def trip(breaker: CircuitBreaker, key: str) -> None:
    """Three calls fail."""
    for _ in range(3):
        permit = breaker.admit(key)
        assert isinstance(permit, Permit)
        breaker.record(permit, "failure")


class Down:
    """A node that is down until it is not."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = TimeoutError("no answer")

    def search(self, state: Any) -> dict[str, Any]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return {"messages": [AIMessage("found")]}

    async def asearch(self, state: Any) -> dict[str, Any]:
        return self.search(state)

    def protected(self, how: str, breaker: CircuitBreaker, **options: Any) -> Any:
        """A function of the state, whatever the kind of the node is that the breaker protects."""
        match how:
            case "function":
                return breaker.wrap(self.search, "search", **options)
            case "async function":
                wrapped = breaker.wrap(self.asearch, "search", **options)
                return lambda state: asyncio.run(wrapped(state))
            case "Runnable":
                return breaker.wrap(RunnableLambda(self.search), "search", **options).invoke
            case _:
                runnable = breaker.wrap(RunnableLambda(self.search, self.asearch), "search", **options)
                return lambda state: asyncio.run(runnable.ainvoke(state))


KINDS = ("function", "async function", "Runnable", "async Runnable")
every_kind = pytest.mark.parametrize("how", KINDS)


class Private(MessagesState):
    secret: str


# Nodes


@every_kind
def test_a_node_that_fails_three_times_is_called_no_more(breaker: CircuitBreaker, how: str) -> None:
    """Its own error three times, ours afterwards."""
    down = Down()
    node = down.protected(how, breaker)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            node({})
    for _ in range(50):
        with pytest.raises(CircuitOpen) as caught:
            node({})
    assert down.calls == 3
    assert (caught.value.key, caught.value.state, caught.value.retry_after) == ("search", "open", 30.0)


@every_kind
def test_it_is_tried_once_when_its_time_is_over(breaker: CircuitBreaker, clock: FakeClock, how: str) -> None:
    """And used again when that succeeds."""
    down = Down()
    node = down.protected(how, breaker)
    trip(breaker, "search")
    clock.advance(WAIT)
    down.error = None
    assert [node({})["messages"][0].content for _ in range(3)] == ["found"] * 3
    assert breaker.state("search").state == "closed"


@every_kind
def test_a_fallback_is_called_instead(breaker: CircuitBreaker, how: str) -> None:
    """With the state, so that it can answer from what is there. The node's own errors are still its own."""
    down = Down()
    node = down.protected(how, breaker, fallback=lambda state: {"messages": [AIMessage(f"cached for {state['user']}")]})
    for _ in range(3):
        with pytest.raises(TimeoutError):
            node({"user": "ada"})
    assert node({"user": "ada"})["messages"][0].content == "cached for ada"


def test_an_async_node_may_have_an_async_fallback(breaker: CircuitBreaker) -> None:
    """It is awaited."""

    async def cached(state: Any) -> str:
        return "cached"

    node = breaker.wrap(Down().asearch, "search", cached)  # type: ignore[arg-type]  # what it returns is its own affair
    trip(breaker, "search")
    assert asyncio.run(node({})) == "cached"  # type: ignore[comparison-overlap]


@every_kind
@pytest.mark.parametrize(
    "error",
    [GraphInterrupt(()), KeyboardInterrupt(), asyncio.CancelledError(), CircuitOpen("other", "open", 1.0)],
    ids=lambda error: type(error).__name__,
)
def test_an_interrupt_is_not_a_failure(breaker: CircuitBreaker, how: str, error: BaseException) -> None:
    """A person is asked, somebody gave up, a budget said no: the service is not to blame, and the error goes on."""
    if how.startswith("async") and isinstance(error, KeyboardInterrupt):
        pytest.skip("asyncio.run ends at once, whatever runs in it")
    down = Down()
    down.error = error
    node = down.protected(how, breaker)
    for _ in range(5):
        with pytest.raises(type(error)):
            node({})
    assert breaker.state("search")[-3:] == (0, 0, 0)


def test_an_interrupted_probe_gives_its_place_back(breaker: CircuitBreaker, clock: FakeClock) -> None:
    """An approval may take a day, and the tool must not be closed for everybody until then."""
    down = Down()
    node = breaker.wrap(down.search, "search")
    trip(breaker, "search")
    clock.advance(WAIT)
    down.error = GraphInterrupt(())
    with pytest.raises(GraphInterrupt):
        node({})
    assert breaker.state("search")[:2] == ("half_open", True)


def test_a_node_in_a_graph_keeps_its_name_and_its_view_of_the_state(breaker: CircuitBreaker) -> None:
    """`add_node` reads both from the function."""

    def fill(state: MessagesState) -> dict[str, Any]:
        return {"secret": "seen"}

    def search(state: Private, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [AIMessage(f"{state['secret']} {config['configurable']['thread_id']}")]}

    graph = StateGraph(MessagesState)
    graph.add_node(fill)
    graph.add_node(breaker.wrap(search))
    graph.add_edge(START, "fill")
    graph.add_edge("fill", "search")
    graph.add_edge("search", END)
    final = graph.compile().invoke({"messages": []}, {"configurable": {"thread_id": "t"}})
    assert final["messages"][0].content == "seen t"
    assert inspect.signature(breaker.wrap(search)) == inspect.signature(search)


def test_without_a_key_a_node_has_the_circuit_of_its_name(breaker: CircuitBreaker) -> None:
    """As `add_node` would call it."""

    def search(state: Any) -> None:
        raise TimeoutError

    class Search:
        def __call__(self, state: Any) -> None:
            raise TimeoutError

    for node, name in (
        (search, "search"),
        (Search(), "Search"),
        (RunnableLambda(search, name="chain"), "chain"),
        (functools.partial(search), "partial"),
    ):
        wrapped = breaker.wrap(node)  # type: ignore[call-overload]
        with pytest.raises(TimeoutError):
            (wrapped.invoke if isinstance(node, RunnableLambda) else wrapped)({})
        assert breaker.state(name).failures == 1


def test_calls_run_side_by_side(breaker: CircuitBreaker) -> None:
    """A breaker that holds its lock during the call makes 32 calls of a second take half a minute."""
    together = Barrier(32, timeout=20)
    node = breaker.wrap(lambda state: together.wait(), "search")
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(node, range(32)))
    assert breaker.state("search").calls == 32


def test_a_slow_answer_counts_as_slow(clock: FakeClock) -> None:
    """Time is the backend's."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), slow_call_duration_threshold=5)
    node = breaker.wrap(lambda state: clock.advance(5), "search")
    for _ in range(3):
        node({})
    assert breaker.state("search").reason == "slow_call_rate"


# Once a call succeeded, successes are counted the short way; everything else is what it was.


def ends(end: Any) -> Any:
    """A node that ends like this, after three successes."""
    left = [None] * 3

    def node(state: Any) -> Any:
        if left:
            return left.pop()
        if isinstance(end, BaseException):
            raise end
        return end

    return node


def end_of(call: Any) -> Any:
    """What it returned, or raised."""
    try:
        return call()
    except BaseException as error:
        return error


def test_successes_in_a_closed_circuit_send_no_command(
    breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what makes them quick."""
    node = breaker.wrap(lambda state: None, "search")
    node({})
    monkeypatch.setattr(breaker.registry, "execute", None)
    for _ in range(100):
        node({})
    monkeypatch.undo()
    assert breaker.state("search").calls == 101


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (TimeoutError(), (4, 1, 0)),
        (ValueError("your fault"), (3, 0, 0)),
        (GraphInterrupt(()), (3, 0, 0)),
        (CircuitOpen("other", "open", 1.0), (3, 0, 0)),
        (asyncio.CancelledError(), (3, 0, 0)),
        (ToolResult.error("timeout", "no answer"), (4, 1, 0)),
        (ToolResult.error("permanent", "no such thing"), (3, 0, 0)),
        (ToolResult.error("rate_limit", "later"), (0, 0, 0)),
        (ToolResult.success("found"), (4, 0, 0)),
        (AIMessage("found"), (4, 0, 0)),
        ({"messages": []}, (4, 0, 0)),
        (None, (4, 0, 0)),
    ],
    ids=repr,
)
def test_after_successes_each_end_counts_as_ever(
    breaker: CircuitBreaker, end: Any, counted: tuple[int, int, int], way: str
) -> None:
    """What a call returned, or raised, comes back as it is."""
    node = ends(end)

    async def anode(state: Any) -> Any:
        return node(state)

    protected = breaker.wrap(node if way == "sync" else anode, "search")
    for _ in range(4):
        found = end_of(lambda: asyncio.run(protected({})) if way == "async" else protected({}))
    assert (type(found), found is end or isinstance(end, BaseException)) == (type(end), True)
    assert breaker.state("search")[-3:] == counted


@pytest.mark.parametrize("seconds", [0, 4.9, 5])
def test_after_successes_a_slow_answer_is_still_slow(clock: FakeClock, seconds: float) -> None:
    """To the millisecond."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), slow_call_duration_threshold=5)
    node = breaker.wrap(clock.advance, "search")
    for wait in (0, 0, 0, seconds):
        node(wait)
    assert breaker.state("search").slow == int(seconds >= 5)


def test_what_classify_says_of_a_plain_result_counts(clock: FakeClock) -> None:
    """Also of the hundredth."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), classify=lambda end: "failure" if end == "sold out" else None)
    node = breaker.wrap(lambda answer: answer, "search")
    for answer in ["found"] * 10 + ["sold out"]:
        node(answer)
    assert breaker.state("search")[-3:] == (11, 1, 0)


@pytest.mark.parametrize("through", ["by hand", "another breaker", "failures"])
def test_after_successes_an_open_circuit_refuses_at_once(
    breaker: CircuitBreaker, clock: FakeClock, through: str
) -> None:
    """Whoever opened it: no caller goes on with what it knew before."""
    down = Down()
    down.error = None
    node = breaker.wrap(down.search, "search")
    for _ in range(3):
        node({})
    if through == "by hand":
        breaker.force_open("search", by="ada")
    else:
        other = CircuitBreaker(breaker._backend, jitter=0) if through == "another breaker" else breaker
        while other.state("search").admits:
            other.record(other.admit("search"), "failure")  # type: ignore[arg-type]  # it admits
    with pytest.raises(CircuitOpen):
        node({})
    assert down.calls == 3


def test_a_call_that_outlived_its_generation_counts_in_no_other(breaker: CircuitBreaker) -> None:
    """Somebody reset the circuit while it ran."""
    node = breaker.wrap(lambda reset: reset and breaker.reset("search", by="ada"), "search")
    for reset in (False, False, False, True):
        node(reset)
    assert breaker.state("search").calls == 0


def test_a_call_counts_where_it_ended(breaker: CircuitBreaker, clock: FakeClock) -> None:
    """One that began in an earlier part of the window is remembered as long as the others that end now."""
    node = breaker.wrap(clock.advance, "search")
    for seconds in (0, 0, 50):
        node(seconds)
    clock.advance(15)
    assert breaker.state("search").calls == 1


def test_threads_on_the_short_way_lose_no_call(breaker: CircuitBreaker) -> None:
    """48 of them, of which some fail meanwhile."""
    breaker = CircuitBreaker(MemoryBackend(), minimum_number_of_calls=1_000_000)

    def node(fails: bool) -> None:
        if fails:
            raise TimeoutError

    protected = breaker.wrap(node, "search")

    def work(worker: int) -> None:
        for at in range(50):
            with suppress(TimeoutError):
                protected((worker + at) % 10 == 0)

    in_threads(work)
    assert breaker.state("search")[-3:] == (48 * 50, 48 * 5, 0)


# Whose circuit


@pytest.mark.parametrize(
    ("args", "key"),
    [
        ({"url": "https://API.Example.com:8443/v1?token=s3cret"}, "host:api.example.com"),
        ({"query": "kites", "url": "http://user:pw@a.example/x"}, "host:a.example"),
        ({"urls": ["https://a.example", "https://b.example"]}, "host:a.example"),
        ({"request": {"url": "https://a.example."}}, "host:a.example"),
        ({"url": "https://[::1]/x"}, "host:::1"),
        ({"url": "https://[broken"}, "fetch"),
        ({"url": "https:///no-host"}, "fetch"),
        ({"text": "see https://a.example"}, "fetch"),
        ({"url": None, "n": 3}, "fetch"),
        ({}, "fetch"),
        (None, "fetch"),
        ("https://a.example", "fetch"),
    ],
)
def test_a_call_belongs_to_the_host_it_is_sent_to(clock: FakeClock, args: Any, key: str) -> None:
    """One fetch tool, many hosts: one that is down must not close the others. Passwords and queries stay out of it."""
    assert CircuitBreaker(MemoryBackend(clock=clock), per="host").key_of("fetch", args) == key


def test_a_call_may_belong_to_what_a_function_says(clock: FakeClock) -> None:
    """Per tool and region, say."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), per=lambda tool, args: f"{tool}/{args['region']}")
    assert breaker.key_of("search", {"region": "eu"}) == "search/eu"


@pytest.mark.parametrize("says", [lambda tool, args: args["no such"], lambda tool, args: 7, lambda tool, args: None])
def test_a_function_that_says_nothing_of_use_falls_back_to_the_tool(clock: FakeClock, says: Any) -> None:
    """Arguments are the model's: they must not be able to end a run."""
    assert CircuitBreaker(MemoryBackend(clock=clock), per=says).key_of("search", {"a": 1}) == "search"


def test_a_long_key_is_short_and_still_its_own(breaker: CircuitBreaker) -> None:
    """A model may call a tool of a megabyte's name."""
    one, other = breaker.key_of("x" * 1_000_000), breaker.key_of("x" * 999_999)
    assert len(one) == len(other) == 200
    assert one != other
    assert breaker.key_of(one) == one


def test_tenants_and_breakers_have_circuits_of_their_own(clock: FakeClock) -> None:
    """On one registry: one tenant's bad key must not close a tool for another."""
    backend = MemoryBackend(tenant="acme", clock=clock)
    other = MemoryBackend(tenant="umbrella", clock=clock)
    other.breakers = backend.breakers
    trip(CircuitBreaker(backend), "search")
    assert CircuitBreaker(backend).state("search").state == "open"
    assert CircuitBreaker(backend, name="models").state("search").state == "closed"
    assert CircuitBreaker(other).state("search").state == "closed"


# Tools on offer


@tool
def search(q: str) -> str:
    """Search."""
    return q


@tool
def fetch(url: str) -> str:
    """Fetch."""
    return url


def test_a_tool_whose_circuit_is_open_is_not_offered(breaker: CircuitBreaker, clock: FakeClock) -> None:
    """What a model is not offered, it does not call. When its time is over it is offered again."""
    trip(breaker, "search")
    assert breaker.available_tools([search, fetch]) == [fetch]
    assert asyncio.run(breaker.aavailable_tools(["fetch", "search", "other"])) == ["fetch", "other"]
    clock.advance(WAIT)
    assert breaker.available_tools([search, fetch]) == [search, fetch]


@pytest.mark.parametrize(
    "named",
    [
        search,
        "search",
        {"name": "search", "input_schema": {}},
        {"type": "function", "function": {"name": "search"}},
        {"title": "search", "type": "object"},
        pytest.param(search.func, id="a function"),  # type: ignore[attr-defined]
    ],
)
def test_tools_come_in_every_form_that_models_take(breaker: CircuitBreaker, named: Any) -> None:
    """Objects, functions, OpenAI's and Anthropic's schemas, names."""
    trip(breaker, "search")
    assert breaker.available_tools([named]) == []


def test_a_tool_without_a_name_is_a_mistake(breaker: CircuitBreaker) -> None:
    """It says which kind of thing it is."""
    with pytest.raises(ConfigError, match="tools: one has no name: a int"):
        breaker.available_tools([7])


# By hand


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_person_switches_a_tool_off_and_on(breaker: CircuitBreaker, clock: FakeClock, way: str) -> None:
    """And it is known who and why."""
    if way == "sync":
        breaker.force_open("search", by="ada", reason="INC-7")
        assert breaker.state("search").state == "forced_open"
        breaker.reset("search", by="bob")
        found = breaker.audit("search")
    else:
        asyncio.run(breaker.aforce_open("search", by="ada", reason="INC-7"))
        assert asyncio.run(breaker.astate("search")).state == "forced_open"
        asyncio.run(breaker.areset("search", by="bob"))
        found = asyncio.run(breaker.aaudit("search"))
    assert [(each.action, each.by, each.reason) for each in found] == [
        ("force_open", "ada", "INC-7"),
        ("reset", "bob", ""),
    ]
    assert breaker.state("search").admits


@pytest.mark.parametrize(
    ("by", "reason", "field"), [("", "", "by"), (None, "", "by"), ("x" * 1_001, "", "by"), ("ada", 7, "reason")]
)
def test_a_record_needs_a_name_and_fits(breaker: CircuitBreaker, by: Any, reason: Any, field: str) -> None:
    """An audit record that says nothing, or is a novel, is refused before anything is switched."""
    with pytest.raises(ConfigError) as caught:
        breaker.force_open("search", by=by, reason=reason)
    assert caught.value.field == field
    assert breaker.state("search").state == "closed"


# What is said


def test_each_change_and_each_refusal_is_said_once(
    breaker: CircuitBreaker, clock: FakeClock, heard: list[tuple[str, dict[str, Any]]]
) -> None:
    """With names and figures, and nothing of what was asked."""
    trip(breaker, "search")
    retry_at = int((clock.now() + WAIT) * 1_000)
    assert isinstance(breaker.admit("search"), Refused)
    clock.advance(WAIT)
    probe = breaker.admit("search")
    assert isinstance(probe, Permit)
    breaker.record(probe, "success")
    breaker.record(probe, "success")
    changes = [
        ("closed", "open", "failure_rate", retry_at),
        ("open", "half_open", "wait_is_over", None),
        ("half_open", "closed", "probes_succeeded", None),
    ]
    transitions = [
        {"breaker": "breaker", "key": "search", "before": before, "after": after, "reason": why, "retry_at": at}
        for before, after, why, at in changes
    ]
    refused = {"breaker": "breaker", "key": "search", "state": "open", "retry_after": 30.0}
    assert [said for name, said in heard if name == "breaker.transition"] == transitions
    assert [said for name, said in heard if name == "breaker.refused"] == [refused]


def test_a_refusal_is_an_error_that_can_be_raised_and_sent(breaker: CircuitBreaker) -> None:
    """ToolGuard answers with it, a worker raises it elsewhere."""
    trip(breaker, "search")
    refused = breaker.admit("search")
    assert isinstance(refused, Refused)
    assert str(pickle.loads(pickle.dumps(refused.error()))) == (
        "the circuit of 'search' is open: no call is made for another 30 s"
    )


# A backend that does not answer


class Unreachable:
    """A registry behind a network that may be down."""

    def __init__(self, registry: BreakerRegistry) -> None:
        self._registry = registry
        self.down = False
        self.error: Exception = StoreUnavailable("redis", "admit", 2.0)
        self.asked = 0

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self.asked += 1
        if self.down:
            raise self.error
        return self._registry.execute(commands)

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return self.execute(commands)


@pytest.fixture
def unreachable(clock: FakeClock) -> tuple[CircuitBreaker, Unreachable]:
    """A breaker, and the network before its registry."""
    backend = MemoryBackend(clock=clock)
    network = Unreachable(backend.breakers)
    backend.breakers = network  # type: ignore[assignment]  # a backend of another kind
    return CircuitBreaker(backend, jitter=0), network


@every_kind
@pytest.mark.parametrize("error", [StoreUnavailable("redis", "admit", 2.0), ConnectionResetError()], ids=["ours", "os"])
def test_a_registry_that_is_down_fails_no_run(
    unreachable: tuple[CircuitBreaker, Unreachable], how: str, error: Exception
) -> None:
    """A local breaker with the same settings decides: the healthy go on, and what fails is still left alone."""
    breaker, network = unreachable
    network.down, network.error = True, error
    down = Down()
    node = down.protected(how, breaker)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            node({})
    with pytest.raises(CircuitOpen):
        node({})
    assert down.calls == 3
    assert breaker.available_tools(["search", "fetch"]) == ["fetch"]


def test_a_registry_that_is_down_is_not_asked_again_and_again(
    unreachable: tuple[CircuitBreaker, Unreachable], clock: FakeClock
) -> None:
    """Each question costs the run its time-out."""
    breaker, network = unreachable
    network.down = True
    node = breaker.wrap(lambda state: None, "search")
    for _ in range(20):
        node({})
    assert network.asked == 1
    clock.advance(REJOIN)
    node({})
    assert network.asked == 2


def test_one_call_at_a_time_asks_whether_it_is_back(
    unreachable: tuple[CircuitBreaker, Unreachable], clock: FakeClock
) -> None:
    """A hundred runs that all wait for the same time-out would all be late."""
    breaker, network = unreachable
    network.down = True
    breaker.admit("search")
    clock.advance(REJOIN)
    asking = breaker.admitting("search")
    next(asking)  # its answer is on its way
    permit = breaker.admit("search")
    assert isinstance(permit, Permit)
    assert (permit.local, network.asked) == (True, 1)
    asking.close()


def test_a_registry_that_answers_again_decides_again(
    unreachable: tuple[CircuitBreaker, Unreachable], clock: FakeClock
) -> None:
    """What others have found out meanwhile counts."""
    breaker, network = unreachable
    network.down = True
    breaker.wrap(lambda state: None, "search")({})
    network.down = False
    trip(CircuitBreaker(MemoryBackendOf(network, clock), jitter=0), "search")
    assert isinstance(breaker.admit("search"), Permit)
    clock.advance(REJOIN)
    assert isinstance(breaker.admit("search"), Refused)


class MemoryBackendOf(MemoryBackend):
    """Another worker's view of the same registry."""

    def __init__(self, registry: Any, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.breakers = registry


def test_a_permit_is_given_back_where_it_was_taken(
    unreachable: tuple[CircuitBreaker, Unreachable], clock: FakeClock
) -> None:
    """A local permit means nothing to the registry: its generations are other ones."""
    breaker, network = unreachable
    network.down = True
    permits = [breaker.admit("search") for _ in range(3)]
    network.down = False
    clock.advance(REJOIN)
    for permit in permits:
        assert isinstance(permit, Permit)
        assert permit.local
        breaker.record(permit, "failure")
    assert breaker.state("search").calls == 0


def test_an_outage_of_the_registry_is_said_once_and_so_is_its_end(
    unreachable: tuple[CircuitBreaker, Unreachable],
    clock: FakeClock,
    heard: list[tuple[str, dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line, not one for each call."""
    breaker, network = unreachable
    network.down = True
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            breaker.admit("search")
            clock.advance(REJOIN)
    network.down = False
    breaker.admit("search")
    said = [attributes for name, attributes in heard if name == "breaker.registry"]
    assert said == [
        {"breaker": "breaker", "reachable": False, "error": "StoreUnavailable"},
        {"breaker": "breaker", "reachable": True, "error": None},
    ]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("langgraph_guard")] == [
        "breaker breaker: its registry does not answer (StoreUnavailable); a local one decides"
    ]


def test_who_switches_something_hears_that_it_was_not_switched(unreachable: tuple[CircuitBreaker, Unreachable]) -> None:
    """A kill switch that only seems to work is worse than an error."""
    breaker, network = unreachable
    network.down = True
    for act in (lambda: breaker.force_open("search", by="ada"), lambda: breaker.audit("search")):
        with pytest.raises(StoreUnavailable):
            act()  # type: ignore[no-untyped-call]


# What ends a call


def test_an_exception_may_be_declared_a_failure(clock: FakeClock) -> None:
    """A parser that chokes on a service's rubbish raises ValueError."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), failure_types=[LookupError, ValueError])
    assert breaker.outcome_of(ValueError()) == FAILURE
    assert breaker.outcome_of(KeyError()) == FAILURE
    assert breaker.outcome_of(GraphInterrupt(())) == Outcome("cancelled")


def test_a_function_may_say_what_an_end_means(clock: FakeClock) -> None:
    """Of an exception, or of what a call returned; what it does not know is decided as usual."""

    def classify(ended: Any) -> Any:
        if ended == "sold out":
            return "failure"
        return Outcome("rate_limited", 9_000) if isinstance(ended, LookupError) else None

    breaker = CircuitBreaker(MemoryBackend(clock=clock), classify=classify)
    ends = ["sold out", KeyError(), "fine", TimeoutError()]
    assert [breaker.outcome_of(end).kind for end in ends] == ["failure", "rate_limited", "success", "failure"]


@pytest.mark.parametrize("classify", [lambda ended: 1 / 0, lambda ended: "broken", lambda ended: 7, lambda ended: []])
def test_a_function_that_fails_is_passed_over(clock: FakeClock, classify: Any) -> None:
    """A guard never makes a healthy run fail."""
    breaker = CircuitBreaker(MemoryBackend(clock=clock), classify=classify)
    assert breaker.outcome_of(TimeoutError()) == FAILURE


# Settings


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"per": "planet"}, "per"),
        ({"per": None}, "per"),
        ({"per": ["tool"]}, "per"),
        ({"classify": "failure"}, "classify"),
        ({"failure_types": [3]}, "failure_types"),
        ({"failure_types": 3}, "failure_types"),
        ({"settings": {"jitter": 0}}, "settings"),
        ({"failure_treshold": 5}, "failure_treshold"),
        ({"jitter": 2}, "jitter"),
        ({"figures": None}, "figures"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value,
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], field: str) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError) as caught:
        CircuitBreaker(MemoryBackend(), **settings)
    assert caught.value.field == field


def test_settings_come_as_words_as_a_value_or_as_both() -> None:
    """Words change what the value says."""
    value = BreakerSettings(minimum_number_of_calls=9)
    breaker = CircuitBreaker(MemoryBackend(), settings=value, jitter=0.3)
    assert breaker.settings == BreakerSettings(minimum_number_of_calls=9, jitter=0.3)


def test_a_backend_must_be_one() -> None:
    """Not the ledger, not a URL."""
    with pytest.raises(ConfigError, match="backend"):
        CircuitBreaker("redis://localhost")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"node": 7}, "node"),
        ({"node": print, "key": ""}, "key"),
        ({"node": print, "key": 7}, "key"),
        ({"node": print, "fallback": 7}, "fallback"),
        ({"node": print, "fallback": Down().asearch}, "fallback"),
    ],
    ids=["node", "empty key", "key", "fallback", "async fallback"],
)
def test_what_cannot_be_wrapped_is_refused(breaker: CircuitBreaker, arguments: dict[str, Any], field: str) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError) as caught:
        breaker.wrap(**arguments)
    assert caught.value.field == field


def test_ids_of_a_forked_worker_are_its_own() -> None:
    """A server that forks after the import would give one probe's place to two workers."""
    ids = Ids()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, ids.next().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != ids.next()
