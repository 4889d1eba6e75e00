"""`ToolGuard` around a `ToolNode`: one answer for each call, whatever a tool, a model or another guard does."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedState, ToolNode
from langgraph.types import Command, RetryPolicy, interrupt
from pydantic import BaseModel

from langgraph_guard.backends import MemoryBackend
from langgraph_guard.errors import BudgetExceeded, ConfigError
from langgraph_guard.policies.approval.rules import ApprovalPolicy, ApprovalRule
from langgraph_guard.state import GuardState
from langgraph_guard.testing import FakeClock
from langgraph_guard.tools.approvals import Approvals
from langgraph_guard.tools.contracts.loading import contract
from langgraph_guard.tools.guard.guard import ToolGuard
from langgraph_guard.tools.results.result import ToolResult
from tests.tools.guarded import Agent, HostState, answers, at, kinds, results, wanted


@tool
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@tool
def neutral() -> str:
    """Nobody has to agree to it."""
    return "done"


@tool
def fail(why: str) -> str:
    """Always fails."""
    raise RuntimeError(why)


def test_each_call_of_a_batch_gets_exactly_one_answer_in_its_order(mode: str) -> None:
    """Providers refuse a history in which a call has no answer, or two; and people read them in order."""
    agent = Agent(ToolGuard(), [add, fail], mode)
    refusal = {"call-1": {"loop": {"verdict": "refuse", "error_type": "denied", "message": "again?", "at": 1}}}

    state = agent.ask(
        wanted(("add", {"a": 1, "b": 1}), ("ad", {}), ("fail", {"why": "x"}), ("add", {"a": 2, "b": 2})),
        guard_calls=refusal,
    )

    assert [each.tool_call_id for each in answers(state)] == ["call-1", "call-2", "call-3", "call-4"]
    assert kinds(state) == ["denied", "validation", "permanent", None]
    assert answers(state)[3].content == "4"


def test_a_refused_call_does_not_run(mode: str) -> None:
    """What a guard said no to must not happen while it is being answered."""
    ran = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    refusal = {"call-1": {"breaker": {"verdict": "refuse", "error_type": "circuit_open", "message": "x", "at": 1}}}
    state = Agent(ToolGuard(), [pay], mode).ask(wanted(("pay", {"amount": 5})), guard_calls=refusal)

    assert (ran, kinds(state)) == ([], ["circuit_open"])


def test_a_note_of_a_guard_stands_beside_the_result(mode: str) -> None:
    """A nudge between call and answer is no valid history; beside the result it is read at the right moment."""
    note = {"call-1": {"loop": {"verdict": "note", "message": "You asked this three times.", "at": 1}}}

    state = Agent(ToolGuard(), [add], mode).ask(wanted(("add", {"a": 1, "b": 1})), guard_calls=note)

    content = str(answers(state)[0].content)
    assert content.startswith("2")
    assert "You asked this three times." in content


def test_an_unknown_tool_is_answered_with_the_names_there_are(mode: str) -> None:
    """A model that invented a tool can correct itself only if it reads what it may call."""
    state = Agent(ToolGuard(), [add, fail], mode).ask(wanted(("sum", {})))

    assert kinds(state) == ["validation"]
    assert "add" in str(answers(state)[0].content)
    assert "fail" in str(answers(state)[0].content)


def test_wrong_arguments_are_answered_with_what_is_wrong(mode: str) -> None:
    """The validation error, and not a traceback, is what a model can repair."""
    state = Agent(ToolGuard(), [add], mode).ask(wanted(("add", {"a": "one", "b": 2})))

    said = results(state)[0]
    assert said is not None
    assert said.error_type == "validation"
    assert "a: " in said.message
    assert "integer" in said.message
    assert "one" not in said.message.replace("one of", "")


def test_attempts_to_repair_a_call_are_bounded(mode: str) -> None:
    """A model that never gets it right would try for ever: one after the other is paid for."""
    agent = Agent(ToolGuard(), [add], mode)
    for number in range(3):
        state = agent.ask(wanted(("add", {"a": "x"}, f"call-{number}"), id=f"asked-{number}"), guard_turn=TURN)

    assert kinds(state) == ["permanent"]
    assert "do not try again" in str(answers(state)[0].content)


def test_attempts_to_repair_begin_anew_with_the_turn(mode: str) -> None:
    """What went wrong for one question says nothing about the next."""
    agent = Agent(ToolGuard(), [add], mode)
    for number in range(3):
        agent.ask(wanted(("add", {"a": "x"}, f"call-{number}"), id=f"asked-{number}"), guard_turn=TURN)

    state = agent.ask(wanted(("add", {"a": "x"}, "later"), id="later"), guard_turn={"id": "next", "seq": 2})

    assert kinds(state) == ["validation"]


TURN = {"id": "turn", "seq": 1}


# --- what tools do ---


ODD: dict[str, Any] = {
    "none": None,
    "an object": object(),
    "bytes": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "a lone surrogate": "\ud800",
    "a set": {1, 2},
    "not a number": float("nan"),
}


@pytest.mark.parametrize("what", sorted(ODD))
def test_whatever_a_tool_returns_is_answered(mode: str, what: str) -> None:
    """A tool that forgot its return value must not end the run."""

    @tool
    def odd() -> Any:
        """Returns something odd."""
        return ODD[what]

    state = Agent(ToolGuard(), [odd], mode).ask(wanted(("odd", {})))

    assert len(answers(state)) == 1


def test_a_tool_result_is_what_the_model_reads_and_the_program_keeps(mode: str) -> None:
    """The article's answer to the loop: typed, with what to do next."""

    @tool
    def order(id: str) -> Any:
        """An order."""
        return ToolResult(status="error", error_type="rate_limit", retry_safe=True, retry_after=60, message="busy")

    state = Agent(ToolGuard(), [order], mode).ask(wanted(("order", {"id": "1"})))

    (message,) = answers(state)
    assert message.status == "error"
    assert ToolResult.parse(message.artifact) == order.invoke({"id": "1"})
    assert "60" in str(message.content)


def test_no_traceback_reaches_the_model(mode: str) -> None:
    """A model that reads one takes its words for data, or apologises for it at length."""
    state = Agent(ToolGuard(), [fail], mode).ask(wanted(("fail", {"why": "secret=hunter2"})))

    content = str(answers(state)[0].content)
    assert "Traceback" not in content
    assert "hunter2" not in content


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_is_not_answered(kind: type[BaseException]) -> None:
    """Ctrl-C ends the run, and does not become a tool's failure."""

    @tool
    def stop() -> str:
        """Stops."""
        raise kind

    with pytest.raises(kind):
        Agent(ToolGuard(), [stop]).ask(wanted(("stop", {})))


def test_a_tool_may_edit_its_arguments(mode: str) -> None:
    """What stands in the history is what the model asked for."""

    @tool
    def drain(items: list[int]) -> str:
        """Empties its list."""
        items.clear()
        return "done"

    state = Agent(ToolGuard(), [drain], mode).ask(wanted(("drain", {"items": [1, 2]})))

    asked = next(each for each in state["messages"] if isinstance(each, AIMessage))
    assert asked.tool_calls[0]["args"] == {"items": [1, 2]}


def test_an_interrupt_is_not_a_failure(mode: str) -> None:
    """A tool that asks a person waits for the answer; it is not answered with an error."""

    @tool
    def ask() -> str:
        """Asks a person."""
        return f"they said {interrupt('well?')}"

    agent = Agent(ToolGuard(), [ask, add], mode)
    waiting = agent.ask(wanted(("ask", {}), ("add", {"a": 1, "b": 2})))
    state = agent.run(Command(resume="yes"), at())

    assert [each.value for each in waiting["__interrupt__"]] == ["well?"]
    assert [each.content for each in answers(state)] == ["they said yes", "3"]


def test_a_tool_may_return_a_command(mode: str) -> None:
    """Tools that write to state are LangGraph's own idiom."""

    @tool
    def note(text: str, tool_call_id: Annotated[str, "injected"] = "call-1") -> Any:
        """Writes to state."""
        return Command(update={"messages": [ToolMessage(text, tool_call_id="call-1")], "note": text})

    class State(HostState):
        note: str

    state = Agent(ToolGuard(), [note], mode, State).ask(wanted(("note", {"text": "hi"})))

    assert (state["note"], [each.content for each in answers(state)]) == ("hi", ["hi"])


def test_a_tool_sees_the_whole_state(mode: str) -> None:
    """The node's own schema names the guard's keys; a tool that reads the host's must find them all the same."""

    @tool
    def whoami(user: Annotated[str, InjectedState("user")]) -> str:
        """Who is asking."""
        return user

    class State(HostState):
        user: str

    state = Agent(ToolGuard(), [whoami], mode, State).ask(wanted(("whoami", {})), user="ada")

    assert answers(state)[0].content == "ada"


def test_a_call_without_an_id_is_answered_and_does_not_run(mode: str) -> None:
    """Its result could not be told from another's."""
    state = Agent(ToolGuard(), [add], mode).ask(wanted(("add", {"a": 1, "b": 1}, None)))  # type: ignore[arg-type]

    assert kinds(state) == ["validation"]


def test_two_calls_with_one_id_are_both_answered_and_one_runs(mode: str) -> None:
    """Some models number their calls wrongly; a payment must not run under another's name."""
    ran = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    state = Agent(ToolGuard(), [pay], mode).ask(wanted(("pay", {"amount": 1}, "x"), ("pay", {"amount": 2}, "x")))

    assert (ran, kinds(state)) == ([1], [None, "validation"])


def test_five_hundred_calls_in_one_message_are_all_answered(mode: str) -> None:
    """A model that fans out wildly must not be able to hang the guard."""
    state = Agent(ToolGuard(), [add], mode).ask(wanted(*[("add", {"a": n, "b": 0}) for n in range(500)]))

    assert [each.content for each in answers(state)] == [str(n) for n in range(500)]


def test_parallel_calls_stay_parallel(mode: str) -> None:
    """Two calls that wait for each other end only if both run at once."""
    barrier = threading.Barrier(2, timeout=20)

    @tool
    def meet() -> str:
        """Waits for the other."""
        barrier.wait()
        return "met"

    contracts = {"meet": {"timeout": 30, "side_effects": "read"}}
    state = Agent(ToolGuard(contracts), [meet], mode).ask(wanted(("meet", {}), ("meet", {})))

    assert [each.content for each in answers(state)] == ["met", "met"]


# --- contracts ---


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a hanging tool waits for; let go at the end, so that its thread ends."""
    event = threading.Event()
    yield event
    event.set()


def hanging(never: threading.Event, name: str = "hang") -> Any:
    """A tool that waits for what never happens."""

    @tool(name)
    def hang() -> str:
        """Hangs."""
        never.wait()
        return "late"

    return hang


def test_a_tool_that_hangs_is_given_up(mode: str, never: threading.Event) -> None:
    """One silent service must not hold a run for ever."""
    contracts = {"hang": {"timeout": 0.05, "side_effects": "read"}}

    state = Agent(ToolGuard(contracts), [hanging(never)], mode).ask(wanted(("hang", {})))

    assert kinds(state) == ["timeout"]


def test_an_async_tool_that_ignores_cancellation_is_given_up(never: threading.Event) -> None:
    """A coroutine that swallows its cancellation would otherwise hold the event loop's task for ever."""

    @tool
    async def stubborn() -> str:
        """Does not let itself be cancelled."""
        while not never.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "cancelled, and went on"
        return "late"

    contracts = {"stubborn": {"timeout": 0.05, "side_effects": "read"}}
    state = Agent(ToolGuard(contracts), [stubborn], "async").ask(wanted(("stubborn", {})))

    assert kinds(state) == ["timeout"]


def test_a_side_effect_that_timed_out_is_in_doubt_and_never_retried(mode: str, never: threading.Event) -> None:
    """The mail may have been sent: "failed, try again" would send it twice."""
    contracts = {"hang": {"timeout": 0.05, "side_effects": "external"}}

    state = Agent(ToolGuard(contracts), [hanging(never)], mode).ask(wanted(("hang", {})))

    (said,) = results(state)
    assert said is not None
    assert (said.error_type, said.retry_safe) == ("timeout", False)
    assert "may have" in said.message


class Flaky:
    """A service that fails so often, and then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def answer(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "fine"


def flaky(service: Flaky) -> Any:
    """A tool that asks the service."""

    @tool
    def look() -> str:
        """Looks something up."""
        return service.answer()

    return look


READ = {"timeout": 30, "side_effects": "read", "retry_policy": {"attempts": 3, "jitter": 0.0}}


def test_a_read_that_fails_in_passing_is_made_again(mode: str) -> None:
    """The model should not spend a call to say "try again" to a service that was away for a moment."""
    service, clock = Flaky(ConnectionResetError(), ConnectionResetError()), FakeClock()

    state = Agent(ToolGuard({"look": READ}, clock=clock), [flaky(service)], mode).ask(wanted(("look", {})))

    assert (answers(state)[0].content, service.calls) == ("fine", 3)
    assert clock.slept == [0.5, 1.0]


def test_a_retry_waits_as_long_as_the_service_asks(mode: str) -> None:
    """Coming back too early is what keeps a busy service busy."""
    request = httpx.Request("GET", "http://orders")
    busy = httpx.HTTPStatusError(
        "429", request=request, response=httpx.Response(429, headers={"Retry-After": "7"}, request=request)
    )
    clock = FakeClock()

    Agent(ToolGuard({"look": READ}, clock=clock), [flaky(Flaky(busy))], mode).ask(wanted(("look", {})))

    assert clock.slept == [7.0]


def test_a_retry_that_would_wait_too_long_is_the_models_business(mode: str) -> None:
    """A run that sleeps for an hour is a run that hangs."""
    request = httpx.Request("GET", "http://orders")
    busy = httpx.HTTPStatusError(
        "429", request=request, response=httpx.Response(429, headers={"Retry-After": "3600"}, request=request)
    )
    clock = FakeClock()

    state = Agent(ToolGuard({"look": READ}, clock=clock), [flaky(Flaky(busy))], mode).ask(wanted(("look", {})))

    (said,) = results(state)
    assert said is not None
    assert (clock.slept, said.error_type, said.retry_after) == ([], "rate_limit", 3600)


@pytest.mark.parametrize("error", [ValueError("no such order"), PermissionError()], ids=["value", "permission"])
def test_what_would_fail_again_is_not_made_again(mode: str, error: Exception) -> None:
    """A retry that cannot help is load, and time."""
    service = Flaky(error, error)

    Agent(ToolGuard({"look": READ}, clock=FakeClock()), [flaky(service)], mode).ask(wanted(("look", {})))

    assert service.calls == 1


def test_a_tool_without_a_contract_is_never_made_again(mode: str) -> None:
    """Nobody said that it is safe."""
    service = Flaky(ConnectionResetError())

    state = Agent(ToolGuard(), [flaky(service)], mode).ask(wanted(("look", {})))

    assert (service.calls, kinds(state)) == (1, ["transient"])


def test_retries_are_a_bounded_share_of_the_calls() -> None:
    """When everything fails, repeating everything is what keeps a service down."""
    always = Flaky(*[ConnectionResetError() for _ in range(200)])
    agent = Agent(ToolGuard({"look": READ}, clock=FakeClock()), [flaky(always)])
    for number in range(40):
        agent.ask(wanted(("look", {}, f"c{number}"), id=f"a{number}"))

    assert 40 < always.calls <= 40 + 10 + 40 * 0.2


def test_a_session_calls_a_tool_as_often_as_its_contract_says(mode: str) -> None:
    """Three searches are enough, also when the model asks for all of them at once, or over days."""
    agent = Agent(ToolGuard({"look": {**READ, "max_calls_per_session": 3}}), [flaky(Flaky())], mode)

    first = agent.ask(wanted(("look", {}, "1"), ("look", {}, "2"), id="a"))
    second = agent.ask(wanted(("look", {}, "3"), ("look", {}, "4"), id="b"))

    assert (kinds(first), kinds(second)) == ([None, None], [None, "denied"])


def test_another_session_has_calls_of_its_own(mode: str) -> None:
    """One customer's searches must not use up another's."""
    agent = Agent(ToolGuard({"look": {**READ, "max_calls_per_session": 1}}), [flaky(Flaky())], mode)

    found = [kinds(agent.ask(wanted(("look", {}, thread), id=thread), thread)) for thread in ("t", "u")]

    assert found == [[None], [None]]


def test_a_scope_that_the_caller_lacks_is_denied(mode: str) -> None:
    """The agent may do no more than the person that it works for."""
    agent = Agent(ToolGuard({"look": {**READ, "auth_scope": "orders:read"}}), [flaky(Flaky())], mode)

    without = agent.ask(wanted(("look", {}, "1"), id="a"))
    wrong = agent.ask(wanted(("look", {}, "2"), id="b"), config=at(scopes=["orders:write"]))
    right = agent.ask(wanted(("look", {}, "3"), id="c"), config=at(scopes=["orders:read", "x"]))

    assert [kinds(each) for each in (without, wrong, right)] == [["denied"], ["denied"], [None]]


def test_scopes_may_come_from_a_function_of_the_users() -> None:
    """Every company has its own way to know who may do what."""
    guard = ToolGuard({"look": {**READ, "auth_scope": "orders:read"}}, scopes=lambda call: ["orders:read"])

    assert kinds(Agent(guard, [flaky(Flaky())]).ask(wanted(("look", {})))) == [None]


def test_a_contract_that_wants_an_approval_runs_nothing_without(mode: str) -> None:
    """Fail closed: a graph without the approval node must not delete."""
    service = Flaky()
    contracts = {"look": {"timeout": 5, "side_effects": "destructive", "approval": True}}

    state = Agent(ToolGuard(contracts), [flaky(service)], mode).ask(wanted(("look", {})))

    assert (service.calls, kinds(state)) == (0, ["denied"])


def test_a_contract_says_what_is_logged(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """The article's contract lists its fields; a figure in a file that nobody writes is none."""
    logs = ["tool.name", "tool.status", "retry_safe", "latency_ms"]
    guard = ToolGuard({"look": {**READ, "logs": logs}}, clock=FakeClock())
    with caplog.at_level("INFO", "langgraph_guard.tools"):
        Agent(guard, [flaky(Flaky(ValueError("no")))], mode).ask(wanted(("look", {})))

    told = [each.getMessage() for each in caplog.records if each.name.startswith("langgraph_guard.tools")]
    assert told == ["tool.name=look tool.status=error retry_safe=False latency_ms=0"]


def test_a_contract_for_a_tool_that_is_not_there_is_refused() -> None:
    """A typo in the file would leave the tool without its limits."""
    with pytest.raises(ConfigError, match="look"):
        ToolGuard({"lok": READ}).node([flaky(Flaky())])


def test_a_contract_may_stand_on_the_tool() -> None:
    """What a tool's author knows belongs beside it."""

    @tool
    @contract(timeout=5, side_effects="read", max_calls_per_session=1)
    def once() -> str:
        """Once."""
        return "x"

    state = Agent(ToolGuard(), [once]).ask(wanted(("once", {}), ("once", {})))

    assert kinds(state) == [None, "denied"]


def test_a_result_that_is_kept_is_not_asked_for_again(mode: str) -> None:
    """The same question of the same tool, and nothing that it could change: the answer is known."""
    service = Flaky()
    cached = {"timeout": 30, "side_effects": "read", "idempotent": True, "cache_ttl": 60}
    agent = Agent(ToolGuard({"look": cached}), [flaky(service)], mode)

    agent.ask(wanted(("look", {}, "1"), id="a"))
    state = agent.ask(wanted(("look", {}, "2"), id="b"))
    other = agent.ask(wanted(("look", {}, "3"), id="c"), "another thread")

    assert [each.tool_call_id for each in answers(state)] == ["2"]
    assert answers(state)[0].content == "fine" == answers(other)[0].content
    assert service.calls == 2, "what one session was told is not another's to read"


def test_a_failure_is_never_kept(mode: str) -> None:
    """Or a moment's outage would last as long as the cache."""
    service = Flaky(ValueError())
    cached = {"timeout": 30, "side_effects": "read", "idempotent": True, "cache_ttl": 60}
    agent = Agent(ToolGuard({"look": cached}), [flaky(service)], mode)

    agent.ask(wanted(("look", {}, "1"), id="a"))
    state = agent.ask(wanted(("look", {}, "2"), id="b"))

    assert (kinds(state), service.calls) == ([None], 2)


# --- side effects happen once ---


PAY = {"timeout": 30, "side_effects": "spend"}


def test_a_failing_sibling_under_a_retry_policy_does_not_pay_twice(mode: str) -> None:
    """LangGraph's own node ran the payment three times because another tool failed twice."""
    paid = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    policy = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=Exception)
    agent = Agent(ToolGuard({"pay": PAY}), [pay, fail], mode, retry_policy=policy)
    state = agent.ask(wanted(("pay", {"amount": 5}), ("fail", {"why": "x"})))

    assert (paid, kinds(state)) == ([5], [None, "permanent"])


def test_a_sibling_that_waits_for_a_person_does_not_pay_twice(mode: str) -> None:
    """When the person has answered, the whole node runs again."""
    paid = []

    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return f"paid {amount}"

    async def apay(amount: int) -> str:
        return pay(amount)

    def ask() -> str:
        """Asks a person."""
        return str(interrupt("well?"))

    async def aask() -> str:
        for _ in range(100):  # until the payment, which is one step of the loop after the other, is through
            await asyncio.sleep(0)
        return ask()

    tools = [StructuredTool.from_function(pay, apay, name="pay"), StructuredTool.from_function(ask, aask, name="ask")]
    agent = Agent(ToolGuard({"pay": PAY}), tools, mode)
    agent.ask(wanted(("pay", {"amount": 5}), ("ask", {})))
    state = agent.run(Command(resume="yes"), at())

    assert paid == [5]
    assert [each.content for each in answers(state)] == ["paid 5", "yes"]


def test_the_same_payment_asked_for_anew_is_another_payment(mode: str) -> None:
    """What is remembered is the call, and not what it did: two customers may order the same thing."""
    paid = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    agent = Agent(ToolGuard({"pay": PAY}), [pay], mode)
    agent.ask(wanted(("pay", {"amount": 5}, "same-id"), id="a"))
    agent.ask(wanted(("pay", {"amount": 5}, "same-id"), id="b"))
    agent.ask(wanted(("pay", {"amount": 5}, "same-id"), id="a"), "another thread")

    assert paid == [5, 5, 5]


# --- hooks ---


def test_hooks_plug_into_a_tool_node_of_ones_own(mode: str) -> None:
    """Users have their own `ToolNode`, and middleware."""
    graph: Any = StateGraph(HostState)
    graph.add_node("tools", ToolNode([add, fail], handle_tool_errors=False, **ToolGuard().hooks()))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    agent = Agent(ToolGuard(), [add], mode)
    agent.app = graph.compile(checkpointer=InMemorySaver())

    state = agent.ask(wanted(("add", {"a": 1, "b": 1}), ("fail", {"why": "x"})))

    assert kinds(state) == [None, "permanent"]


def test_hooks_refuse_a_state_without_the_guards_keys(mode: str) -> None:
    """They could not see what other guards refused, and would run it."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([add], handle_tool_errors=False, **ToolGuard().hooks()))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    agent = Agent(ToolGuard(), [add], mode)
    agent.app = graph.compile()

    with pytest.raises(ConfigError, match="GuardState"):
        agent.ask(wanted(("add", {"a": 1, "b": 1})))


def test_the_node_brings_its_keys_into_any_host(mode: str) -> None:
    """A host that never heard of guards keeps what they write."""
    agent = Agent(ToolGuard({"look": {**READ, "max_calls_per_session": 1}}), [flaky(Flaky())], mode, MessagesState)

    agent.ask(wanted(("look", {}, "1"), id="a"))
    state = agent.ask(wanted(("look", {}, "2"), id="b"))

    assert kinds(state) == ["denied"]


def test_messages_may_be_kept_under_another_key(mode: str) -> None:
    """`messages_key` is LangGraph's own setting."""

    class Chat(GuardState):
        chat: Annotated[list[Any], add_messages]

    agent = Agent(
        ToolGuard({"look": {**READ, "max_calls_per_session": 1}}, messages_key="chat"), [flaky(Flaky())], mode, Chat
    )
    start = {"chat": [HumanMessage("x", id="h"), wanted(("look", {}), ("look", {}))]}
    state = agent.run(start, at())

    assert [each.status for each in state["chat"][2:]] == ["success", "error"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_pause": -1}, "max_pause"),
        ({"artifacts": 0}, "artifacts"),
        ({"budget": object()}, "budget"),
        ({"breaker": object()}, "breaker"),
        ({"messages_key": ""}, "messages_key"),
    ],
    ids=["timeout of 0", "timeout of nan", "pause", "artifacts", "budget", "breaker", "key"],
)
def test_settings_that_cannot_work_are_refused_when_the_graph_is_built(settings: dict[str, Any], field: str) -> None:
    """A wrong setting must not be found in the tenth superstep."""
    with pytest.raises(ConfigError) as error:
        ToolGuard(**settings)

    assert error.value.field == field


# --- hosts ---


class DataHost(BaseModel):
    """A host that is a Pydantic model."""

    messages: Annotated[list[Any], add_messages] = []
    user: str = "ada"


@dataclass
class PlainData:
    """A host that is a dataclass."""

    messages: Annotated[list[Any], add_messages] = field(default_factory=list)
    user: str = "ada"


@pytest.mark.parametrize("host", [DataHost, PlainData], ids=["pydantic", "dataclass"])
def test_any_host_will_do(mode: str, host: type) -> None:
    """A guard asks nothing of the state that people have; a tool still sees all of it."""

    @tool
    def whoami(user: Annotated[str, InjectedState("user")]) -> str:
        """Who is asking."""
        return user

    guard = ToolGuard({"whoami": {**READ, "max_calls_per_session": 1}})
    agent = Agent(guard, [whoami], mode, host)
    first = agent.ask(wanted(("whoami", {}, "1"), id="a"), user="grace")
    again = agent.ask(wanted(("whoami", {}, "2"), id="b"))

    assert [each.content for each in answers(first)] == ["grace"]
    assert kinds(again) == ["denied"]


def test_without_a_thread_nothing_is_kept(mode: str) -> None:
    """Whose result it is cannot be told, so it is nobody's to read again."""
    service = Flaky()
    cached = {"timeout": 30, "side_effects": "read", "idempotent": True, "cache_ttl": 60}
    agent = Agent(ToolGuard({"look": cached}), [flaky(service)], mode, saver=None)
    for id in ("a", "b"):
        agent.ask(wanted(("look", {}), id=id), config={})

    assert service.calls == 2


def test_a_payment_within_which_something_is_denied_is_not_made_again(mode: str) -> None:
    """The tool had begun: that it was stopped half-way does not mean that nothing happened."""
    paid = []

    @tool
    def pay(amount: int) -> str:
        """Pays, and then asks a model that the budget refuses."""
        paid.append(amount)
        raise BudgetExceeded("usd", "session", 1, 1, 0, 1)

    agent = Agent(ToolGuard({"pay": PAY}), [pay], mode)
    message = wanted(("pay", {"amount": 5}))
    first, second = agent.ask(message), agent.ask(message)

    assert (paid, kinds(first), kinds(second)) == ([5], ["denied"], ["denied"])


def test_a_pattern_with_a_slip_of_the_pen_is_found_too() -> None:
    """`sned_*` is for no tool, and mails would go out unasked; `read_*` may be for tools of another node."""

    @tool
    def send_mail(to: str) -> str:
        """Sends it."""
        return to

    def guard(pattern: str) -> ToolGuard:
        return ToolGuard(approvals=Approvals(ApprovalPolicy({pattern: ApprovalRule()}), MemoryBackend()))

    guard("read_*").node([send_mail])
    with pytest.raises(ConfigError, match=r"did you mean 'send_\*'"):
        guard("sned_*").node([send_mail])


def test_a_rule_with_a_slip_of_the_pen_is_found_when_the_graph_is_built() -> None:
    """Nobody would be asked, and nothing would be said."""
    approvals = Approvals(ApprovalPolicy({"fial": ApprovalRule()}), MemoryBackend())
    with pytest.raises(ConfigError, match=r"rules\[fial\].*did you mean 'fail'"):
        ToolGuard(approvals=approvals).node([add, fail])


def test_without_a_thread_what_needs_approval_does_not_run(mode: str) -> None:
    """There is nobody who could have agreed; what needs nobody runs."""
    approvals = Approvals(ApprovalPolicy({"add": ApprovalRule()}), MemoryBackend())
    agent = Agent(ToolGuard(approvals=approvals), [add, neutral], mode, saver=False)

    state = agent.ask(wanted(("add", {"a": 1, "b": 1}), ("neutral", {})), config={"configurable": {}})

    assert kinds(state) == ["denied", None]


def test_a_rule_for_a_tool_of_another_node_is_fine() -> None:
    """Several nodes share the rules of one graph."""
    approvals = Approvals(ApprovalPolicy({"delete_everything": ApprovalRule(), "f*": ApprovalRule()}), MemoryBackend())
    ToolGuard(approvals=approvals).node([add, fail])


def test_a_failure_is_logged_by_its_kind_and_place(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """The model reads what to do; whoever looks after the tool reads where it broke, and no contents."""
    with caplog.at_level(logging.INFO):
        Agent(ToolGuard(), [fail], mode).ask(wanted(("fail", {"why": "a secret"})))
    (line,) = [each.getMessage() for each in caplog.records if "failed:" in each.getMessage()]
    assert re.fullmatch(r"fail failed: RuntimeError at test_guard\.py:\d+", line)
