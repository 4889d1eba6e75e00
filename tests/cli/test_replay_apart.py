"""A replay leaves production alone: its threads, its money, its people, its executions."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from langgraph_guard import MemoryBackend, SqliteBackend, ToolGuard
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.cli.replay import main
from langgraph_guard.cli.replay.forking import chosen, messages_of, stored
from langgraph_guard.policies.approval.commands import Pending, Withdraw
from langgraph_guard.tools.guard.replayed import Recordings
from tests.cli import replayed
from tests.cli.replays import AT, QUESTION, SHAPES, THREAD, WRITES, Case, Guarding, World, desk, guarded, on_a_loop
from tests.servers.redis import RedisServer, redis_server, until

__all__ = ["redis_server"]

GRAPH = "tests.cli.replayed:graph"


def played(*asked: str) -> int:
    """A replay of the thread."""
    return main([GRAPH, "--thread", THREAD, *asked])


def held(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """All that an object holds, as text, so that two moments can be compared."""
    if id(value) in seen:
        return "…"
    seen |= {id(value)}
    if isinstance(value, Mapping):
        return sorted((repr(held(key, seen)), held(each, seen)) for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return [held(each, seen) for each in value]
    if hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
        return held(vars(value), seen)
    named = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: held(getattr(value, name, None), seen) for name in named} if named else repr(value)


def rows(file: Path) -> list[str]:
    """Every row of every table."""
    with sqlite3.connect(file) as db:
        return list(db.iterdump())


def of_thread(rows: list[str]) -> list[str]:
    """Those of the production thread."""
    return [row for row in rows if f"'{THREAD}'" in row]


def in_saver(saver: InMemorySaver) -> Any:
    """What it holds of the production thread."""
    parts = ({k: v for k, v in part.items() if k[0] == THREAD} for part in (saver.writes, saver.blobs))
    return repr((dict(saver.storage[THREAD]), *parts))


@pytest.fixture
def open_(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a graph where the command line finds it."""
    return lambda graph: monkeypatch.setattr(replayed, "graph", graph)


@pytest.mark.parametrize("shape", [*SHAPES, "on_a_loop"])
def test_nothing_of_production_changes(shape: str, open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the agent is made of: the replay comes to the same end, and store and backend are as they were."""
    saver, world = InMemorySaver(), World(MemoryBackend())
    open_({**SHAPES, "on_a_loop": on_a_loop}[shape](world, saver))
    before = in_saver(saver), held(world.backend), list(world.done)
    assert (played("--step", "1"), capsys.readouterr().out.count("it came to the same end")) == (0, 1)
    assert (in_saver(saver), held(world.backend), world.done) == before


@pytest.mark.parametrize("shape", ["answered", "decided", "parallel", "nested", "made"])
def test_nothing_of_production_changes_in_a_file(
    shape: str, open_: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both in SQLite: every row of the guards' file, and every row of the thread's."""
    threads, guards = tmp_path / "threads.db", tmp_path / "guards.db"
    with SqliteBackend(guards) as backend, SqliteSaver.from_conn_string(str(threads)) as saver:
        open_(SHAPES[shape](World(backend), saver))
        saver.conn.commit()
        before = of_thread(rows(threads)), rows(guards)
        assert (played("--step", "1"), capsys.readouterr().out.count("it came to the same end")) == (0, 1)
        saver.conn.commit()
        assert (of_thread(rows(threads)), rows(guards)) == before


@pytest.mark.parametrize("shape", ["answered", "decided", "sent", "nested"])
def test_nothing_of_production_changes_in_redis(
    shape: str, redis_server: RedisServer, open_: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both in Redis: each key as it would be dumped. What is new belongs to the copy of the thread."""
    prefix = f"apart-{shape}"
    with (
        RedisSaver.from_conn_string(redis_server.url, prefix=f"{prefix}-threads") as saver,
        RedisBackend.from_url(redis_server.url, prefix=f"{prefix}-guards", deadline=30) as backend,
    ):
        open_(SHAPES[shape](World(backend), saver))
        threads, guards = keys(redis_server, f"{prefix}-threads"), keys(redis_server, f"{prefix}-guards")
        assert threads, "or there is nothing to compare"
        assert guards
        assert (played("--step", "1"), capsys.readouterr().out.count("it came to the same end")) == (0, 1)
        after = keys(redis_server, f"{prefix}-threads")
        assert ({key: after.get(key) for key in threads}, keys(redis_server, f"{prefix}-guards")) == (threads, guards)


def keys(server: RedisServer, prefix: str) -> dict[bytes, Any]:
    """All that the server holds about a prefix. The list of all threads grows by the copy."""
    client = server.client()
    return {key: client.dump(key) for key in client.scan_iter(f"*{prefix}*") if not key.endswith(b":threads")}


# People


def test_what_nobody_answered_waits_in_the_replay_alone(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The thread waits for a person, and so does its copy; the desk of production has one request, not two."""
    world = World(MemoryBackend())
    graph = desk(world, InMemorySaver())
    graph.invoke(QUESTION, AT, durability="sync")
    open_(graph)
    before = held(world.backend)
    assert played("--step", "1") == 0
    assert "it waits for somebody's answer" in capsys.readouterr().out
    assert held(world.backend) == before


def test_what_a_run_went_on_without_was_decided_by_nobody(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A request that was withdrawn is closed, and is no word of a person's."""
    world = World(MemoryBackend())
    graph = desk(world, InMemorySaver())
    graph.invoke(QUESTION, AT, durability="sync")
    open_(graph)
    ((waiting,),) = world.backend.desk.execute([Pending("")])
    world.backend.desk.execute([Withdraw("", waiting.id)])
    assert played("--step", "1") == 0
    assert "it waits for somebody's answer" in capsys.readouterr().out


@pytest.mark.parametrize("shape", ["answered", "decided", "made"])
def test_live_asks_people_anew(shape: str, open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """They agreed to one refund. A replay that runs tools must not pay the second on their word."""
    world = World(MemoryBackend())
    open_(SHAPES[shape](world, InMemorySaver()))
    before = held(world.backend)
    assert played("--step", "1", "--live") == 0
    assert "it waits for somebody's answer" in capsys.readouterr().out
    assert (world.done, held(world.backend)) == (["4711"], before)


def test_live_does_not_run_by_what_was_agreed_to_then(open_: Any) -> None:
    """Begun behind the question, at the tools: there is no approval of this run."""
    world = World(MemoryBackend())
    open_(SHAPES["answered"](world, InMemorySaver()))
    played("--step", "3", "--live")
    assert world.done == ["4711"]


def test_live_writes_into_no_outbox_of_production(open_: Any) -> None:
    """The tool runs; that it ran for a copy is nothing that production has to know."""
    world = World(MemoryBackend())
    open_(SHAPES["outbox"](world, InMemorySaver()))
    before = held(world.backend)
    assert played("--step", "1", "--live") == 0
    assert (world.done, held(world.backend)) == (["4711", "4711"], before)


def test_an_answer_to_another_question_is_not_given(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A person agreed to something; what is asked now they have never seen."""
    graph = questioned()
    graph.invoke({"amount": 5, "said": ""}, AT, durability="sync")
    graph.invoke(Command(resume="yes"), AT, durability="sync")
    open_(graph)
    assert (played("--step", "1"), "it came to the same end" in capsys.readouterr().out) == (0, True)
    assert played("--step", "1", "--set", "amount=50000") == 0
    assert "it waits for somebody's answer" in capsys.readouterr().out


class Asking(TypedDict):
    """What is to be paid, and what somebody said to it."""

    amount: int
    said: str


def questioned() -> Any:
    """A graph that asks whether an amount may be paid."""
    graph = StateGraph(Asking)
    graph.add_node("ask", lambda state: {"said": interrupt({"pay": state["amount"], "question_id": uuid.uuid4().hex})})
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=InMemorySaver())


def test_two_who_are_asked_at_once_get_each_their_answer(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tasks of a step ask; which of the answers is whose is told by the questions."""

    def ask(each: Any) -> Any:
        return {"notes": [f"{each['order']}: {interrupt({'refund': each['order']})}"]}

    graph = StateGraph(Case)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda state: [Send("ask", {"order": each}) for each in ("1", "2")], ["ask"])
    app = graph.compile(checkpointer=InMemorySaver())
    open_(app)
    asked = app.invoke({"order": "", "notes": []}, AT, durability="sync")["__interrupt__"]
    said = {each.id: f"yes to {each.value['refund']}" for each in asked}
    app.invoke(Command(resume=said), AT, durability="sync")
    assert played("--step", "0") == 0
    assert "it came to the same end" in capsys.readouterr().out


# Tools that no guard holds back


def test_a_tool_that_a_node_calls_itself_is_held_back(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """No guard sees it, and it does what it does: so the replay ends there."""
    world = World(MemoryBackend())
    refund = world.refund()
    graph = StateGraph(MessagesState)
    graph.add_node("pays", lambda state: {"messages": [("ai", refund.invoke({"order": "4711"}))]})
    graph.add_edge(START, "pays")
    app = graph.compile(checkpointer=InMemorySaver())
    open_(app)
    app.invoke(QUESTION, AT, durability="sync")
    assert played("--step", "1") == 1
    assert "ReplayMiss: the replay calls 'refund'" in capsys.readouterr().out
    assert world.done == ["4711"]
    assert (played("--step", "1", "--live"), world.done) == (0, ["4711", "4711"])


def test_a_tool_is_held_back_where_errors_are_made_messages(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A middleware that passes the guard by, in a node that words all that is raised: the model must not read it."""
    world = World(MemoryBackend())

    class Past(Guarding):
        """Has a guard, and does not ask it."""

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            try:
                return handler(request)
            except Exception:
                return ToolMessage("failed", tool_call_id=request.tool_call["id"], status="error")

    app: Any = create_agent(
        world.model(), [world.refund()], middleware=[Past(ToolGuard(WRITES))], checkpointer=InMemorySaver()
    )
    open_(app)
    app.invoke(QUESTION, AT, durability="sync")
    assert played("--step", "1") == 1
    assert "ReplayMiss: the replay calls 'refund'" in capsys.readouterr().out
    assert world.done == ["4711"]


def test_an_agent_without_a_guard_cannot_be_held_back(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`create_agent` as it comes: refused before anything is copied."""
    world, saver = World(MemoryBackend()), InMemorySaver()
    app: Any = create_agent(world.model(), [world.refund()], checkpointer=saver)
    open_(app)
    app.invoke(QUESTION, AT, durability="sync")
    assert played("--step", "1") == 2
    assert "node 'tools' is a ToolNode without a ToolGuard" in capsys.readouterr().err
    assert (world.done, len(saver.storage)) == (["4711"], 1)


# Where it can be played


def test_it_is_played_for_whom_the_thread_was(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit per user fails closed for nobody: without a word about it, the replay would end there."""
    world = World(MemoryBackend())
    open_(SHAPES["outbox"](world, InMemorySaver()))
    assert (played("--step", "1"), played("--step", "1", "--config", "user_id=")) == (0, 1)


def test_what_a_broken_step_had_done_is_known() -> None:
    """Of three tasks two had answered when the third raised: their answers are in no state, and are answers still."""
    world, saver = World(MemoryBackend()), InMemorySaver()
    graph = broken(world, saver)
    with pytest.raises(ConnectionError):
        graph.invoke(QUESTION, AT, durability="sync")
    start = chosen(graph, THREAD, None)
    recordings = Recordings(messages_of(start.history, stored(saver, THREAD)))
    asked = start.at.values["messages"][-1].tool_calls
    said = [found.text if (found := recordings.of(call)) else None for call in asked]
    assert said == ["refunded 1", "refunded 2"]


def broken(world: World, saver: InMemorySaver) -> Any:
    """A task for each of two refunds, and one that raises when what they said is kept."""
    model = world.model("1", "2")

    def after(state: Any) -> Any:
        sent = [Send("tools", [{**call, "type": "tool_call"}]) for call in state["messages"][-1].tool_calls]
        return [*sent, Send("breaks", {})]

    def breaks(state: Any) -> Any:
        until(lambda: kept(saver) == 4, "the question, the model's message, and two answers")
        raise ConnectionError("no route")

    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", guarded(world, outbox=world.backend))
    graph.add_node("breaks", breaks)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", after, ["tools", "breaks"])
    return graph.compile(checkpointer=saver)


def kept(saver: InMemorySaver) -> int:
    """Updates of messages that tasks have told."""
    tasks = [list(each.values()) for each in list(saver.writes.values())]
    return sum(channel == "messages" for told in tasks for _, channel, *_ in told)


async def test_it_can_be_played_where_a_loop_is_running(open_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In a notebook there is one, and an agent of coroutines needs one of its own."""
    world = World(MemoryBackend())
    open_(await asyncio.to_thread(on_a_loop, world, InMemorySaver()))
    assert played("--step", "1") == 0
    assert "it came to the same end" in capsys.readouterr().out


def test_a_backend_of_another_make_is_kept_apart_too(open_: Any) -> None:
    """Somebody wrote one of their own, whose stores cannot be replaced: then the guards get another backend."""
    backend = Theirs(MemoryBackend())
    world = World(backend)
    open_(SHAPES["decided"](world, InMemorySaver()))
    before = held(backend.inner)
    assert played("--step", "1") == 0
    assert held(backend.inner) == before


@dataclass(frozen=True)
class Theirs:
    """A backend around another one."""

    inner: MemoryBackend

    @property
    def tenant(self) -> str:
        """Of the one within."""
        return self.inner.tenant

    @property
    def clock(self) -> Any:
        """Of the one within."""
        return self.inner.clock

    @property
    def ledger(self) -> Any:
        """Of the one within."""
        return self.inner.ledger

    @property
    def breakers(self) -> Any:
        """Of the one within."""
        return self.inner.breakers

    @property
    def desk(self) -> Any:
        """Of the one within."""
        return self.inner.desk

    @property
    def outbox(self) -> Any:
        """Of the one within."""
        return self.inner.outbox


def test_backends_are_productions_again_when_it_is_over(open_: Any) -> None:
    """Also after a replay that failed: a notebook goes on with them."""
    world = World(MemoryBackend())
    open_(SHAPES["answered"](world, InMemorySaver()))
    before = {name: id(getattr(world.backend, name)) for name in ("ledger", "breakers", "desk", "outbox")}
    played("--step", "1")
    played("--step", "1", "--config", "user_id=")
    assert {name: id(getattr(world.backend, name)) for name in before} == before
