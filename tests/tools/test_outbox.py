"""Side effects happen at most once, with nobody to approve them: the outbox knows what was begun, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import ParentCommand
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from langgraph_guard import MemoryBackend, ToolGuard, contract
from langgraph_guard.errors import ConfigError, StoreUnavailable
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.outbox import Claim, Done, Doubts, EffectKey, Resolve
from langgraph_guard.testing import FakeClock
from langgraph_guard.tools.guard.idempotency import idempotency_key
from tests.tools.guarded import MODES, Agent, HostState, answers, at, wanted

HOUR = 3_600.0
SEND = wanted(("send", {"to": "a"}))


class Killed(BaseException):
    """What ends a process between two lines."""


class Post:
    """A service that sends, with an outbox around it; and the moment at which a run runs it again."""

    def __init__(self, does: Callable[[], Any] = lambda: "sent", *, state: Any = HostState, **terms: Any) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(tenant="acme", clock=self.clock)
        self.outbox: Any = self.backend
        self.keys: list[str | None] = []
        self.does = does

        @contract(**{"timeout": 10, "side_effects": "external", **terms})
        @tool
        def send(to: str) -> Any:
            """Send."""
            self.keys.append(idempotency_key())
            return self.does()

        self.tool = send

    def agent(self, mode: str = "sync") -> Agent:
        """A graph around it, as a process of its own has it: what it remembers by itself is gone."""
        guard = ToolGuard(outbox=self.outbox, clock=self.clock)
        return Agent(guard, [self.tool], mode)

    def ask(self, mode: str = "sync") -> ToolMessage:
        """The answer that one more process is given to the same call in the same thread."""
        (said,) = answers(self.agent(mode).ask(SEND))
        return said

    def dies(self) -> None:
        """A process that is killed while the tool runs."""
        does, self.does = self.does, _killed
        with pytest.raises(Killed):
            self.agent().ask(SEND)
        self.does = does

    def resolve(self, result: str | None) -> None:
        """A person looks, and says what became of it."""
        effect = self.ask().artifact["effect"]
        key = EffectKey("acme", "t", effect["call_id"], effect["digest"])
        self.backend.outbox.execute([Resolve(key, "ann", result)])

    def resolve_now(self) -> str:
        """The same, while the contract looks."""
        (doubt,) = self.backend.outbox.execute([Doubts("acme")])[0]  # type: ignore[misc, union-attr]
        self.backend.outbox.execute([Resolve(doubt.key, "ann", "said at noon")])
        return "found"


def _killed() -> Any:
    raise Killed


class Away:
    """A backend whose outbox does not answer commands of a kind, so many times."""

    def __init__(self, backend: Any, kind: type, times: int) -> None:
        self.tenant, self.clock = backend.tenant, backend.clock
        self.ledger, self.breakers, self.desk = backend.ledger, backend.breakers, backend.desk
        self._outbox, self._kind, self._times = backend.outbox, kind, times
        self.outbox, self.instant = self, True

    def execute(self, commands: Sequence[Any]) -> list[Any]:
        if self._times and any(isinstance(each, self._kind) for each in commands):
            self._times -= 1
            raise StoreUnavailable("memory", "execute", 1.0)
        found: list[Any] = self._outbox.execute(commands)
        return found

    async def aexecute(self, commands: Sequence[Any]) -> list[Any]:
        return self.execute(commands)


# Once


@pytest.mark.parametrize("mode", MODES)
def test_a_call_with_side_effects_is_made_once_whoever_runs_it(mode: str) -> None:
    """Another process that runs the step again has the stored result."""
    post = Post()
    assert [post.ask(mode).text for _ in range(3)] == ["sent"] * 3
    assert len(post.keys) == 1


def test_another_call_and_another_thread_are_their_own() -> None:
    """The same words a second time are meant a second time."""
    post = Post()
    post.ask()
    post.agent().ask(wanted(("send", {"to": "a"}, "call-9")))
    post.agent().ask(SEND, thread="other")
    assert len(set(post.keys)) == 3


def test_a_call_without_side_effects_asks_no_outbox() -> None:
    """Reading is not worth a round trip."""
    post = Post(side_effects="read")
    post.outbox = Away(post.backend, object, 1)
    assert post.ask().text == "sent"
    assert post.keys == [None]


def test_the_tool_is_offered_a_key_that_stays_the_same() -> None:
    """A service that takes one makes the effect once, even where we cannot know."""
    post = Post()
    post.dies()
    post.clock.advance(HOUR)
    post.resolve(None)
    post.ask()
    first, second = post.keys
    assert first == second
    assert first is not None


def test_a_stored_result_keeps_what_a_tool_brings() -> None:
    """Its artifact too, and the guard's own shaping happens again."""
    post = Post(lambda: {"ref": 7})
    first, second = post.ask(), post.ask()
    assert (second.content, second.status) == (first.content, first.status)
    assert len(post.keys) == 1


def test_a_result_that_cannot_be_kept_is_known_to_have_happened() -> None:
    """Too long for a store; it is not sent again for that."""
    post = Post(lambda: "x" * 2_000_000)
    post.ask()
    assert "took effect" in post.ask().text
    assert len(post.keys) == 1


# In doubt


@pytest.mark.parametrize("mode", MODES)
def test_86_a_call_whose_process_died_is_in_doubt_and_not_made_again(mode: str) -> None:
    """The answer says so, and names what a person can resolve."""
    post = Post()
    post.dies()
    post.clock.advance(HOUR)
    said = post.ask(mode)
    assert "in doubt" in said.text
    assert set(said.artifact["effect"]) == {"call_id", "digest", "idempotency_key"}
    assert len(post.keys) == 1


def test_a_call_that_is_under_way_is_waited_for_and_not_made_again() -> None:
    """As long as it may take; its lease is longer, so that nobody doubts it before."""
    post = Post()
    post.dies()
    assert "has not ended" in post.ask().text
    assert post.clock.now() == pytest.approx(FakeClock().now() + 10)
    assert len(post.keys) == 1


@pytest.mark.parametrize("text", ["sent by hand", "ref: 123", "kept: yes", ""])
def test_what_a_person_says_is_the_result(text: str) -> None:
    """In their own words, whatever those look like."""
    post = Post()
    post.dies()
    post.clock.advance(HOUR)
    post.resolve(text)
    said = post.ask()
    assert (text or "took effect") in said.text
    assert said.status == "success"
    assert len(post.keys) == 1


def test_what_a_person_says_did_not_happen_may_happen() -> None:
    """Once."""
    post = Post()
    post.dies()
    post.clock.advance(HOUR)
    post.resolve(None)
    assert [post.ask().text, post.ask().text] == ["sent", "sent"]
    assert len(post.keys) == 2, "once by the process that died, once by the next"


def _found(key: str) -> str:
    return f"found {key}"


async def _found_later(key: str) -> str:
    await asyncio.sleep(0)
    return f"found {key}"


def _failing(key: str) -> str:
    raise ConnectionError(key)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reconcile", [_found, _found_later], ids=["sync", "async"])
def test_a_contract_that_can_look_resolves_a_doubt(reconcile: Any, mode: str) -> None:
    """By the key that the service was given; what it finds is the result from then on."""
    post = Post(reconcile=reconcile)
    post.dies()
    post.clock.advance(HOUR)
    told = [post.ask(mode).text for _ in range(2)]
    assert told[0] == told[1]
    assert f"found {post.keys[0]}" in told[0]
    assert len(post.keys) == 1


@pytest.mark.parametrize(("says", "calls"), [(False, 2), (None, 1)])
def test_a_contract_may_find_that_nothing_happened_or_nothing_at_all(says: Any, calls: int) -> None:
    """`False` lets the call be made; `None` leaves the doubt to people."""
    post = Post(reconcile=lambda key: says)
    post.dies()
    post.clock.advance(HOUR)
    post.ask()
    assert len(post.keys) == calls


def test_a_look_that_fails_leaves_the_doubt() -> None:
    """Whoever cannot be asked has said nothing."""
    post = Post(reconcile=_failing)
    post.dies()
    post.clock.advance(HOUR)
    assert "in doubt" in post.ask().text
    assert len(post.keys) == 1


def test_87_a_tool_that_outlives_its_lease_is_not_run_a_second_time() -> None:
    """Who comes second is in doubt; the first one's word still counts, and is the result for all after."""
    seen: list[str] = []

    def slow() -> str:
        post.clock.advance(HOUR)
        seen.append(post.ask().text)
        return "sent at last"

    post = Post(slow)
    assert post.ask().text == "sent at last"
    assert "in doubt" in seen[0]
    assert post.ask().text == "sent at last"
    assert len(post.keys) == 1


def test_88_an_outbox_that_does_not_answer_lets_nothing_happen() -> None:
    """Not knowing is no reason to send twice."""
    post = Post()
    post.outbox = Away(post.backend, Claim, 1)
    assert "cannot be called now" in post.ask().text
    assert post.keys == []
    assert post.ask().text == "sent"


def test_88_an_end_that_cannot_be_written_leaves_a_doubt() -> None:
    """The caller has the result; nobody after them runs it again."""
    post = Post()
    post.outbox = Away(post.backend, Done, 1)
    assert post.ask().text == "sent"
    post.clock.advance(HOUR)
    assert "in doubt" in post.ask().text
    assert len(post.keys) == 1


# Failures


def test_89_a_failure_that_says_nothing_of_the_effect_is_kept() -> None:
    """The tool raised, before or after: it is not run again by a replay."""
    post = Post(_wrong)
    first = post.ask()
    assert first.status == "error"
    assert post.ask().text == first.text
    assert len(post.keys) == 1


def _wrong() -> Any:
    raise ValueError("wrong")


def _unreachable() -> Any:
    raise ConnectionError("nobody there")


def test_89_a_failure_that_may_be_repeated_may_be_claimed_again() -> None:
    """The contract says that a second time does no harm."""
    post = Post(_unreachable, idempotent=True)
    post.ask()
    post.does = lambda: "sent"
    assert post.ask().text == "sent"


def test_89_a_timeout_is_a_doubt_at_once() -> None:
    """It may yet happen."""

    def late() -> Any:
        raise TimeoutError

    post = Post(late)
    post.ask()
    assert "in doubt" in post.ask().text
    assert len(post.keys) == 1


def test_a_tool_that_asks_a_person_has_not_happened_yet() -> None:
    """An interrupt is not a failure, and no doubt either: it begins again when the run resumes."""
    post = Post(lambda: f"sent: {interrupt('sure?')}")
    guard = ToolGuard(outbox=post.backend, clock=post.clock)
    graph: Any = StateGraph(HostState)
    graph.add_node("tools", guard.node([post.tool]))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [SEND]}, at())
    told = app.invoke(Command(resume="yes"), at())
    assert told["messages"][-1].text == "sent: yes"


def test_two_calls_that_ask_are_each_given_their_own_answer_in_tasks_of_their_own() -> None:
    """The one that is done asks no more; in one task, the other would be given its answer."""
    post = Post(lambda: interrupt(f"sure about {len(post.keys)}?"))
    asked = wanted(("send", {"to": "a"}), ("send", {"to": "b"}))
    graph: Any = StateGraph(HostState)
    graph.add_node("tools", ToolGuard(outbox=post.backend, clock=post.clock).node([post.tool]))
    graph.add_conditional_edges(START, lambda state: [Send("tools", [call]) for call in asked.tool_calls], ["tools"])
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke({"messages": [asked]}, at())
    for word in ("yes", "no"):
        last = app.get_state(at()).interrupts[-1]
        told = app.invoke(Command(resume={last.id: word}), at())
    assert [message.text for message in told["messages"][-2:]] == ["no", "yes"]


def test_a_tool_that_sends_its_graph_elsewhere_may_have_happened() -> None:
    """A subgraph inside a tool that hands over to its parent has done its work; a replay must not do it again."""
    post = Post(_hands_over)
    with pytest.raises(ParentCommand):
        post.ask()
    assert "in doubt" in post.ask().text
    assert len(post.keys) == 1


def _hands_over() -> Any:
    raise ParentCommand(Command(graph=Command.PARENT))


@pytest.mark.parametrize("text", ["kept.1:pickle:AAAA", "kept.1:msgpack:!!!", "kept.1:null:", "kept.1:json:e30="])
def test_a_stored_result_that_cannot_be_read_is_known_to_have_happened(text: str) -> None:
    """Or the thread could never go on."""
    post = Post()
    post.dies()
    post.clock.advance(HOUR)
    post.resolve(text)
    assert "took effect" in post.ask().text
    assert len(post.keys) == 1


def test_who_finds_a_result_after_somebody_told_another_has_that_one() -> None:
    """Both looked at once; everybody has one result."""
    post = Post(reconcile=lambda key: post.resolve_now())
    post.dies()
    post.clock.advance(HOUR)
    assert "said at noon" in post.ask().text


# What is given


def test_an_outbox_is_a_backends() -> None:
    """Said when the guard is made."""
    with pytest.raises(ConfigError, match="outbox"):
        ToolGuard(outbox=object())  # type: ignore[arg-type]


def test_approvals_bring_their_own_outbox() -> None:
    """A claim looks at the approval in the same place."""
    backend = MemoryBackend()
    policy = HumanApprovalNode({}, backend).policy
    with pytest.raises(ConfigError, match="outbox"):
        ToolGuard(approvals=policy, outbox=MemoryBackend())


# An id that a model uses again


@pytest.mark.parametrize("mode", MODES)
def test_an_id_that_is_used_again_is_said_to_have_been_made(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of a model that counts its calls from 1 in every turn: a second payment that was meant is not made, because
    nobody can tell it from a step that runs again. It must not look as if it had been."""
    post = Post()
    agent = post.agent(mode)
    texts = [answers(agent.ask(wanted(("send", {"to": "a"}), id=turn)))[-1].text for turn in ("one", "two")]
    assert (len(post.keys), texts[0]) == (1, "sent")
    assert texts[1].startswith("This call was not made: an earlier one had its id and its arguments")
    assert texts[1].endswith("sent")
    assert "send was asked for again with the id of an earlier call" in caplog.text


def test_what_runs_again_is_not_said_to_be_another_call() -> None:
    """A replay from before the call: the stored result, as it was."""
    post = Post()
    agent = post.agent()
    agent.ask(SEND)
    first = next(each for each in agent.app.get_state_history(at("t")) if each.next == ("tools",))
    (said,) = answers(agent.run(None, first.config))
    assert (len(post.keys), said.text) == (1, "sent")


def test_the_same_id_with_other_arguments_is_another_call() -> None:
    """What it does differs, so nobody takes it for the first."""
    post = Post()
    agent = post.agent()
    for to in "ab":
        said = answers(agent.ask(wanted(("send", {"to": to}), id=to)))[-1].text
        assert said == "sent"
    assert len(post.keys) == 2
