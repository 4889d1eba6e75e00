"""`langgraph-guard replay`: the same thread again in a copy. No tool runs, and the thread itself stays as it was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.cli.replay import arguments, loading, main
from langgraph_guard.cli.replay.forking import chosen, fork
from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import setup
from langgraph_guard.policies.ledger import Account, Read
from langgraph_guard.testing import ScriptedChatModel, calls
from tests.cli import replayed
from tests.cli.replayed import Shop, Told
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

GRAPH = "tests.cli.replayed:graph"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with a thread that has ended, where the command line finds it."""
    return _open(monkeypatch, Shop())


def _open(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Shop:
    monkeypatch.setattr(replayed, "graph", shop.graph)
    shop.ask()
    return shop


def played(*asked: str) -> int:
    """A replay of thread t-1."""
    return main([GRAPH, "--thread", "t-1", *asked])


def copies(shop: Shop) -> list[str]:
    """The threads that replays made."""
    saver = shop.graph.checkpointer
    assert isinstance(saver, InMemorySaver)
    return [thread for thread in saver.storage if "replay" in thread]


def test_a_replay_that_changes_nothing_comes_to_the_same_end(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Step for step, and told so."""
    assert played("--step", "1") == 0
    shown = capsys.readouterr().out
    assert "  step 1 (model): as before\n  step 2 (tools): as before\n  step 3 (model): as before\n" in shown
    assert "it came to the same end" in shown


def test_no_tool_runs(shop: Shop) -> None:
    """What it answered then is its answer: it was called once, by the thread."""
    played("--step", "1")
    (copy,) = copies(shop)
    assert shop.looked_up == ["4711"]
    assert shop.said(copy) == shop.said()


def test_live_lets_the_tools_run(shop: Shop) -> None:
    """For whoever wants to know what they answer today."""
    assert played("--step", "1", "--live") == 0
    assert shop.looked_up == ["4711", "4711"]


def test_a_changed_state_shows_where_the_run_departs(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The first step that differs, what it said then, and what it says now."""
    assert played("--step", "1", "--set", "style=short") == 0
    shown = capsys.readouterr().out
    assert "  style is set\n" in shown
    assert "  step 3 (model): departs\n" in shown
    assert "then: model: ai: I looked it up: order 4711 has shipped" in shown
    assert "now : model: ai: Shipped." in shown
    assert shop.looked_up == ["4711"]


def test_a_call_that_was_not_made_before_ends_the_replay(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows what the tool would have said, and it may do something."""
    shop.wanted = "99"
    assert played("--step", "1") == 1
    shown = capsys.readouterr().out
    assert '    now : model: ai: → look_up({"order": "99"})' in shown
    assert "it failed with ReplayMiss: the replay calls 'look_up'" in shown
    assert shop.looked_up == ["4711"]


def test_credentials_are_not_shown(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """What departs is pasted into a ticket. It does depart, though another secret looks the same."""
    shop.wanted = "sk-proj-" + "Zk9x" * 8
    assert played("--step", "1") == 1
    shown = capsys.readouterr().out
    assert '    now : model: ai: → look_up({"order": "[redacted]"})' in shown
    assert shop.wanted not in shown


def test_what_the_program_hides_is_hidden(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own `redact=` holds here too: for what departs, for what ended it, and in the tree."""
    shop.wanted = "99"
    seen = setup(redact=lambda text: text.replace("look_up", "#"), langfuse=False, metrics=False)
    try:
        assert played("--step", "1") == 1
    finally:
        seen.close()
    shown = capsys.readouterr().out
    assert '    then: model: ai: → #({"order": "4711"})' in shown
    assert "it failed with ReplayMiss: the replay calls '#'" in shown
    assert "look_up" not in shown


def test_the_new_run_is_shown_as_a_tree(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """What it cost, too: models are asked anew."""
    played("--step", "1")
    shown = capsys.readouterr().out
    assert "Trace: t-1-replay-" in shown
    assert "llm.gpt-4o" in shown


def test_failed_begins_with_the_step_that_raised(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that ended in an exception, from there."""
    graph = _raising(shop)
    monkeypatch.setattr(replayed, "graph", graph)
    config: Any = {"configurable": {"thread_id": "t-1"}}
    with pytest.raises(ConnectionError):
        graph.invoke({"messages": [("user", "go")]}, config)
    assert played("--failed") == 1
    shown = capsys.readouterr().out
    assert "thread t-1 from step 2," in shown
    assert "  step 2 (breaks): as before" in shown
    assert "it failed with ConnectionError" in shown


def _raising(shop: Shop) -> Any:
    def breaks(state: MessagesState) -> Any:
        raise ConnectionError("no route")

    graph = StateGraph(MessagesState)
    graph.add_node("works", lambda state: {"messages": [("ai", "I try.")]})
    graph.add_node("breaks", breaks)
    graph.add_edge(START, "works")
    graph.add_edge("works", "breaks")
    return graph.compile(checkpointer=InMemorySaver())


def test_failed_begins_with_the_step_in_which_a_tool_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guard answers for a tool that failed, so nothing was raised: the answer tells."""
    shop = Shop()
    shop.breaks = True
    _open(monkeypatch, shop)
    assert played("--failed") == 0
    assert "thread t-1 from step 2," in capsys.readouterr().out
    assert shop.looked_up == ["4711"]


def test_a_recorded_error_is_shown_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody refused the call: the tool failed then, and so it is answered now. Once."""
    shop = Shop()
    shop.breaks = True
    _open(monkeypatch, shop)
    played("--failed")
    shown = capsys.readouterr().out
    assert "✗ guard.tool.replayed [look_up: an error, answered from the recording]" in shown
    assert "tool.answered" not in shown


def in_memory(folder: Path) -> Any:
    """LangGraph's own, which copies nothing by itself."""
    return InMemorySaver()


def in_sqlite(folder: Path) -> Any:
    """A saver of LangGraph's with a file."""
    return SqliteSaver(sqlite3.connect(folder / "threads.db", check_same_thread=False))


@pytest.mark.parametrize("made", [in_memory, in_sqlite], ids=["memory", "sqlite"])
def test_the_thread_is_never_written_to(
    made: Callable[[Path], BaseCheckpointSaver[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its checkpoints and writes, to the byte, through every kind of replay."""
    saver = made(tmp_path)
    _open(monkeypatch, Shop(saver))
    before = stored(saver)
    for asked in (["1"], ["1", "--set", "style=short"], ["2", "--live"], ["3"]):
        played("--step", *asked)
    assert stored(saver) == before


def stored(saver: BaseCheckpointSaver[Any]) -> list[Any]:
    """What a saver holds of thread t-1."""
    if isinstance(saver, SqliteSaver):
        tables = ("checkpoints", "writes")
        return [saver.conn.execute(f"select * from {each} where thread_id = 't-1'").fetchall() for each in tables]
    assert isinstance(saver, InMemorySaver)
    held = (
        dict(saver.storage["t-1"]),
        *({k: v for k, v in d.items() if k[0] == "t-1"} for d in (saver.writes, saver.blobs)),
    )
    return [repr(each) for each in held]


def test_a_thread_in_redis_is_copied_by_its_saver(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours copy on the server, and the source stays as it was."""
    with RedisSaver.from_conn_string(redis_server.url, prefix="replay") as saver:
        _open(monkeypatch, Shop(saver))
        before = keys(redis_server)
        assert played("--step", "1", "--set", "style=short") == 0
        assert "now : model: ai: Shipped." in capsys.readouterr().out
        after = keys(redis_server)
    assert before
    assert {key: after.get(key) for key in before} == before


def keys(server: RedisServer) -> dict[bytes, Any]:
    """All that the server holds of threads, as it would be dumped. The list of all threads grows by the copy."""
    client = server.client()
    return {key: client.dump(key) for key in client.scan_iter("replay*") if not key.endswith(b":threads")}


def test_a_replay_is_charged_to_nobody(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The customer's account shows what the customer spent. What the replay cost, its tree says."""
    before = spent(shop, "t-1")
    played("--step", "1")
    (copy,) = copies(shop)
    assert (spent(shop, "t-1"), spent(shop, copy)) == (before, 0)
    assert "54 tokens, $0.0003" in capsys.readouterr().out


def spent(shop: Shop, thread: str) -> int:
    """What the ledger has for a thread."""
    account = Account("", "session", thread, "usd", None)
    ((balance,),) = shop.backend.ledger.execute([Read((account,))])  # type: ignore[misc]
    return balance.spent  # type: ignore[union-attr]


def test_the_same_question_is_no_departure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that waits for somebody: the ids of the calls that they are asked about are new in each run."""
    model = ScriptedChatModel([calls("refund", {"order": "4711"})], cycle=True)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("ask", lambda state: interrupt({"calls": state["messages"][-1].tool_calls}))
    graph.add_edge(START, "model")
    graph.add_edge("model", "ask")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    monkeypatch.setattr(replayed, "graph", app)
    app.invoke({"messages": [("user", "I want my money back.")]}, {"configurable": {"thread_id": "t-1"}})
    assert played("--step", "1") == 0
    shown = capsys.readouterr().out
    assert "it waits for somebody's answer" in shown
    assert "departs" not in shown


def test_tools_without_a_guard_cannot_be_held_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would run, with all that they do: refused, and the node is named."""
    shop = _open(monkeypatch, Shop(guarded=False))
    assert played("--step", "1") == 2
    assert "node 'tools' is a ToolNode without a ToolGuard" in capsys.readouterr().err
    assert (shop.looked_up, copies(shop)) == (["4711"], [])
    assert played("--step", "1", "--live") == 0
    assert shop.looked_up == ["4711", "4711"]


def test_tools_without_a_guard_are_found_in_subgraphs() -> None:
    """An agent in an agent has tools, too."""
    outer = StateGraph(MessagesState)
    outer.add_node("inner", Shop(guarded=False).graph)
    outer.add_edge(START, "inner")
    assert list(loading.unguarded(outer.compile())) == ["inner|tools"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--step", "9"], "step: the thread has no step 9; it has 0 to 3"),
        (["--failed"], "failed: no step of the thread raised"),
        (["--step", "-1"], "step: the thread has no step -1; it has 0 to 3"),
        (["--step", "1", "--set", "stile=short"], "set: the state has no key 'stile'; it has messages, style\n"),
        (["--step", "1", "--set", "stile.a=short"], "set: the state has no key 'stile'; it has messages, style\n"),
        (["--step", "1", "--set", "__start__=1"], "set: the state has no key '__start__'"),
        (["--step", "1", "--set", "style.a=short"], "set: 'style.a' leads into something that is no mapping"),
        (["--step", "1", "--set", 'messages={"who": "me"}'], "set: messages cannot be given this value: ValueError\n"),
    ],
    ids=["step", "failed", "before the first", "key", "part of no key", "not the state's", "part of a text", "message"],
)
def test_what_the_thread_does_not_have_is_named(
    shop: Shop, asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is copied."""
    assert played(*asked) == 2
    assert said in capsys.readouterr().err
    assert copies(shop) == []


@pytest.mark.parametrize(
    ("asked", "last", "style"),
    [
        (['messages=[{"role": "user", "content": "Be quick."}]'], "Be quick.", "long"),
        (["messages=Be quick."], "Be quick.", "long"),
        (['style={"mood": {"a": 1}}', "style.mood.b=2"], "Where is it?", {"mood": {"a": 1, "b": 2}}),
        (["style=[1, 2]"], "Where is it?", [1, 2]),
        (["style=a=b"], "Where is it?", "a=b"),
    ],
    ids=["message", "text of a message", "part", "json", "text"],
)
def test_a_value_is_json_or_text(shop: Shop, asked: list[str], last: str, style: Any) -> None:
    """Written as a node's update would be: a message is added, a part leaves the others as they are."""
    said = [asked_ for each in asked for asked_ in ("--set", each)]
    start = chosen(shop.graph, "t-1", 1)
    found = shop.graph.get_state(fork(shop.graph, start, arguments.asked([*START_OF, *said]).set).config).values
    assert (found["messages"][-1].text, found["style"]) == (last, style)


START_OF = [GRAPH, "--thread", "t-1", "--step", "1"]


def test_a_part_of_what_the_thread_has_is_changed_in_the_copy_alone() -> None:
    """The state that it is read from is the thread's."""
    built = StateGraph(Told)
    built.add_node("node", lambda state: {})
    built.add_edge(START, "node")
    graph = built.compile(checkpointer=InMemorySaver())
    graph.invoke({"messages": [], "style": {"mood": "long", "words": 9}}, {"configurable": {"thread_id": "t-1"}})  # type: ignore[typeddict-item]
    start = chosen(graph, "t-1", 1)
    copy = graph.get_state(fork(graph, start, [("style.mood", "short")]).config).values["style"]
    assert (start.at.values["style"]["mood"], copy) == ("long", {"mood": "short", "words": 9})


@pytest.mark.parametrize("text", ["style", "=short", ""], ids=["no value", "no key", "nothing"])
def test_what_is_no_pair_is_refused(shop: Shop, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the graph is looked for."""
    with pytest.raises(SystemExit) as ended:
        played("--step", "1", "--set", text)
    assert (ended.value.code, "must be K=V" in capsys.readouterr().err) == (2, True)


def test_a_thread_of_another_graph_is_said_to_be_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two graphs of a module share their saver, and the name of the wrong one is quickly typed."""
    other = StateGraph(MessagesState)
    other.add_node("else", lambda state: {})
    other.add_edge(START, "else")
    monkeypatch.setattr(replayed, "other", other.compile(checkpointer=shop.graph.checkpointer), raising=False)
    assert main(["tests.cli.replayed:other", "--thread", "t-1", "--step", "2"]) == 2
    assert "graph: knows none of the thread's steps" in capsys.readouterr().err
    assert played("--step", "2") == 0


def test_a_thread_that_does_not_exist_ends_with_two(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """And makes none."""
    assert main([GRAPH, "--thread", "t-9", "--step", "1"]) == 2
    assert capsys.readouterr().err == "langgraph-guard replay: thread: there is no such thread\n"
    assert copies(shop) == []


@pytest.mark.parametrize(
    "name",
    ["graph", "no.such.module:graph", "tests.cli.replayed:nothing"],
    ids=["no colon", "no module", "no name"],
)
def test_a_graph_that_is_not_there_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is no traceback."""
    assert main([name, "--thread", "t-1", "--step", "1"]) == 2
    assert capsys.readouterr().err.startswith("langgraph-guard replay: graph: ")


def test_a_function_may_make_the_graph(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Savers that need a connection are opened there."""
    monkeypatch.setattr(replayed, "make", lambda: shop.graph, raising=False)
    assert main(["tests.cli.replayed:make", "--thread", "t-1", "--step", "1"]) == 0


def test_a_function_may_want_a_config(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that LangGraph's server calls do."""
    monkeypatch.setattr(replayed, "make", lambda config: config and shop.graph, raising=False)
    assert main(["tests.cli.replayed:make", "--thread", "t-1", "--step", "1"]) == 0


async def _made() -> Any:
    return None


@pytest.mark.parametrize("made", [_made, lambda a, b: None], ids=["coroutine", "two arguments"])
def test_a_function_that_cannot_be_called_is_refused(
    made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to give instead."""
    monkeypatch.setattr(replayed, "make", made, raising=False)
    assert main(["tests.cli.replayed:make", "--thread", "t-1", "--step", "1"]) == 2
    assert "give one without arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "graph",
    [7, StateGraph(MessagesState)],
    ids=["number", "not compiled"],
)
def test_what_is_no_graph_is_refused(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its kind."""
    monkeypatch.setattr(replayed, "graph", graph)
    with pytest.raises(ConfigError, match=rf"is a {type(graph).__name__}"):
        loading.loaded(GRAPH)


def test_a_graph_without_a_checkpointer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to go back to."""
    graph = StateGraph(MessagesState)
    graph.add_node("node", lambda state: {})
    graph.add_edge(START, "node")
    monkeypatch.setattr(replayed, "graph", graph.compile())
    with pytest.raises(ConfigError, match="has no checkpointer"):
        loading.loaded(GRAPH)


def test_an_agent_of_coroutines_is_replayed_on_a_loop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes that are coroutines cannot be run in another way."""

    async def answers(state: MessagesState) -> Any:
        return {"messages": [("ai", "from a loop")]}

    built = StateGraph(MessagesState)
    built.add_node("answers", answers)
    built.add_edge(START, "answers")
    graph = built.compile(checkpointer=InMemorySaver())
    monkeypatch.setattr(replayed, "graph", graph)
    config: Any = {"configurable": {"thread_id": "t-1"}}
    asyncio.run(graph.ainvoke({"messages": [("user", "go")]}, config))
    assert played("--step", "1") == 0
    assert "it came to the same end" in capsys.readouterr().out
