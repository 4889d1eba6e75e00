"""What the loop check reads: calls and results as hosts, models and `ToolGuard` leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import MessagesState

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.fuse import after
from langgraph_guard.nodes.guard import path_map
from langgraph_guard.nodes.loops import LoopCheckNode
from langgraph_guard.policies.loops import KEPT_CALLS, RUNGS
from langgraph_guard.policies.loops.digests import success
from langgraph_guard.state import GuardState
from langgraph_guard.testing import FakeClock, calls
from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.guard.guard import ToolGuard
from langgraph_guard.tools.results.result import ToolResult
from tests.nodes.agents import is_valid
from tests.nodes.looping import agent, asks, ending, get, ran, scripted, stuck, thread


class Host(MessagesState, GuardState):
    pass


class Talk:
    """A host's state, and a loop check that visits it after each message of the model."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.loop = LoopCheckNode(clock=self.clock, **settings)
        self.state: dict[str, Any] = {"messages": [HumanMessage("hi", id="h")]}

    def ask(self, *asked: tuple[str, Mapping[str, Any], str | None], id: str | None) -> dict[str, Any]:
        """The model asks, and the guard looks: its update."""
        made: list[Any] = [{"name": name, "args": dict(args), "id": call} for name, args, call in asked]
        self.state = after(self.state, {"messages": [AIMessage("", tool_calls=made, id=id)]}, "messages")
        update = self.loop.invoke(self.state)
        self.state = after(self.state, update, "messages")
        return update

    def answer(self, *said: BaseMessage) -> None:
        """The tools answer."""
        self.state = after(self.state, {"messages": list(said)}, "messages")

    def route(self) -> str:
        """The way that the graph would go."""
        return self.loop.route(self.state)  # type: ignore[arg-type]  # a dict of the same keys


def routes(turn: Talk, results: list[Any], prefix: str = "a", **fields: Any) -> list[str]:
    """What is said while one call is answered with `results`, one after the other."""
    said = []
    for at, result in enumerate(results):
        verdicts = turn.ask(("get", {"id": 1}, f"{prefix}{at}-0"), id=f"{prefix}{at}").get("guard_calls") or {}
        notes = [verdict["verdict"] for each in verdicts.values() for verdict in each.values()]
        said.append(notes[0] if notes else turn.route())
        if turn.route() == "ok":
            turn.answer(ToolMessage(result, tool_call_id=f"{prefix}{at}-0", **fields))
    return said


LADDER = ["ok", "ok", "note", "revise", "halt"]
FAILING = ["ok", "ok", "note", "halt", "halt"]


def test_calls_without_ids_are_counted() -> None:
    """Some local models give none."""
    turn = Talk()
    said = []
    for at in range(5):
        turn.ask(("get", {"id": 1}, None), id=f"a{at}")
        said.append(turn.route())
        turn.answer(ToolMessage("x", tool_call_id=""))
    assert said == ["ok", "ok", "ok", "revise", "halt"]


def test_calls_that_all_have_the_same_id_are_counted() -> None:
    """Others give the same one in every message; known by their ids alone, they would loop unseen."""
    turn = Talk()
    said = []
    for at in range(5):
        update = turn.ask(("get", {"id": 1}, "call_0"), id=f"a{at}")
        said.append("note" if update.get("guard_calls") else turn.route())
        if turn.route() == "ok":
            turn.answer(ToolMessage("x", tool_call_id="call_0", id=f"t{at}"))
    assert said == LADDER


def test_what_was_said_of_an_earlier_call_of_the_same_id_is_taken_back() -> None:
    """Otherwise another tool would be refused for a name that it shares with a loop."""
    turn = Talk(repeats=2, ladder=("block",))
    turn.ask(("get", {"id": 1}, "call_0"), id="a0")
    turn.answer(ToolMessage("x", tool_call_id="call_0"))
    turn.ask(("get", {"id": 1}, "call_0"), ("look", {}, "call_1"), id="a1")
    assert turn.state["guard_calls"]["call_0"]["loop"]["verdict"] == "refuse"
    turn.answer(ToolMessage("no", tool_call_id="call_0", status="error"), ToolMessage("y", tool_call_id="call_1"))
    turn.ask(("pay", {}, "call_0"), id="a2")
    assert turn.state["guard_calls"]["call_0"]["loop"]["verdict"] == "pass"


def test_ids_that_repeat_within_a_message_are_answered_one_by_one() -> None:
    """The second answer is not the first one's."""
    turn = Talk()
    turn.ask(("get", {"id": 1}, "x"), ("get", {"id": 1}, "x"), id="a0")
    turn.answer(ToolMessage("one", tool_call_id="x", id="t0"), ToolMessage("two", tool_call_id="x", id="t1"))
    turn.ask(("look", {}, "y"), id="a1")
    known = turn.state["guard_loops"]["calls"].values()
    assert [each["result"] for each in known if each["tool"] == "get"] == [success("one"), success("two")]


def test_messages_without_ids_are_counted() -> None:
    """A host with a reducer of its own gives none."""
    loop = LoopCheckNode(clock=FakeClock())
    messages: list[BaseMessage] = [HumanMessage("hi")]
    state: dict[str, Any] = {}
    said = []
    for _ in range(5):
        messages.append(AIMessage("", tool_calls=[{"name": "get", "args": {}, "id": "c"}]))
        state = after({**state, "messages": messages}, loop.invoke({**state, "messages": messages}), "history")
        said.append(loop.route(state))  # type: ignore[arg-type]  # a dict of the same keys
        messages.append(ToolMessage("x", tool_call_id="c"))
    assert said == ["ok", "ok", "ok", "revise", "halt"]


def test_a_name_that_the_model_made_up_is_kept_short_and_on_one_line() -> None:
    """It goes into notes, events and the state of every checkpoint."""
    turn = Talk(repeats=2)
    for at in range(2):
        update = turn.ask(("no\nsuch" + "x" * 500, {}, f"c{at}"), id=f"a{at}")
        turn.answer(ToolMessage("There is no such tool.", tool_call_id=f"c{at}"))
    (known,) = {each["tool"] for each in turn.state["guard_loops"]["calls"].values()}
    assert known == "no such" + "x" * 73
    assert known in update["guard_calls"]["c1"]["loop"]["message"]


def test_messages_that_no_person_wrote_open_nothing() -> None:
    """A summary stands in the middle of the turn, as a message of a person, and nothing here has an id."""
    summary = HumanMessage("So far: nothing.", additional_kwargs={"lc_source": "summarization"})
    history: list[BaseMessage] = [HumanMessage("hi")]
    for at in range(3):
        call: Any = {"name": "get", "args": {}, "id": f"c{at}"}
        history += [AIMessage("", tool_calls=[call]), ToolMessage("x", tool_call_id=f"c{at}")]
    history[5:5] = [summary]
    asked: Any = {"name": "get", "args": {}, "id": "now"}
    update = LoopCheckNode(clock=FakeClock()).invoke({"messages": [*history, AIMessage("", tool_calls=[asked])]})
    assert update["guard_decisions"][0]["count"] == 4


def test_a_turn_begins_with_its_own_message_also_without_ids() -> None:
    """What the last turn did is not this one's."""
    history: list[BaseMessage] = []
    for at in range(3):
        call: Any = {"name": "get", "args": {}, "id": f"c{at}"}
        history += [HumanMessage("again"), AIMessage("", tool_calls=[call]), ToolMessage("x", tool_call_id=f"c{at}")]
    update = LoopCheckNode(clock=FakeClock()).invoke({"messages": history[:-1]})
    assert set(update) == {"guard_verdicts", "guard_loops"}
    assert len(update["guard_loops"]["calls"]) == 1


def test_a_turn_whose_messages_are_gone_counts_on() -> None:
    """A host that shows the model nothing but the question, each time."""
    turn = Talk()
    said = []
    for at in range(5):
        turn.state = {**turn.state, "messages": turn.state["messages"][:1]}
        update = turn.ask(("get", {"id": 1}, f"c{at}"), id=f"a{at}")
        said.append("note" if update.get("guard_calls") else turn.route())
    assert said == LADDER


def test_a_refusal_stands_for_every_call_of_its_id() -> None:
    """Of two calls with one id nobody can say which is meant."""
    turn = Talk()
    for at, name in enumerate(["get", "get", "get", "look", "look"]):
        turn.ask((name, {}, f"c{at}"), id=f"a{at}")
        turn.answer(ToolMessage("x", tool_call_id=f"c{at}"))
    update = turn.ask(("get", {}, "x"), ("look", {}, "x"), ("pay", {}, "y"), id="now")
    assert {id: said["loop"]["verdict"] for id, said in update["guard_calls"].items()} == {"x": "refuse"}


def test_a_guard_that_comes_late_reads_what_was_there() -> None:
    """It was added to the graph in the middle of a turn."""
    turn = Talk()
    for at in range(3):
        message = AIMessage("", tool_calls=[{"name": "get", "args": {"id": 1}, "id": f"c{at}"}], id=f"a{at}")
        turn.answer(message, ToolMessage("x", tool_call_id=f"c{at}"))
    assert turn.ask(("get", {"id": 1}, "now"), id="a9")["guard_calls"]["now"]["loop"]["verdict"] == "note"


def test_five_hundred_calls_at_once_are_no_trouble() -> None:
    """What is kept is bounded; what is decided sees them all."""
    turn = Talk()
    turn.ask(("look", {}, "first"), id="first")
    turn.answer(ToolMessage("x", tool_call_id="first"))
    many = [("get", {"id": at}, f"c{at}") for at in range(500)]
    update = turn.ask(*many, id="a0")
    assert (set(update), len(update["guard_loops"]["calls"])) == ({"guard_loops"}, KEPT_CALLS)
    assert len(turn.state["guard_loops"]["calls"]) == KEPT_CALLS
    turn.answer(*(ToolMessage(f"r{at}", tool_call_id=f"c{at}") for at in range(500)))
    again = [("get", {"id": 1}, f"d{at}") for at in range(500)]
    update = turn.ask(*again, id="a1")
    assert {verdict["loop"]["verdict"] for verdict in update["guard_calls"].values()} == {"note"}
    assert {each["round"] for each in turn.state["guard_loops"]["calls"].values()} == {3}


def test_a_long_turn_stays_bounded_and_counts_on() -> None:
    """The window moves: an old message that fell out of it is not taken for a new one."""
    turn = Talk()
    for at in range(KEPT_CALLS + 40):
        turn.ask(("get", {"id": at}, f"c{at}"), id=f"a{at}")
        turn.answer(ToolMessage(f"r{at}", tool_call_id=f"c{at}"))
        assert turn.route() == "ok"
    known = turn.state["guard_loops"]["calls"].values()
    assert [each["round"] for each in known] == list(range(41, KEPT_CALLS + 41))
    assert routes(turn, ["x"] * 3, "b") == ["ok", "ok", "note"]


def test_one_visit_more_changes_nothing() -> None:
    """A retry, or a graph that leads by twice."""
    turn = Talk()
    for at in range(3):
        turn.ask(("get", {"id": 1}, f"c{at}"), id=f"a{at}")
        turn.clock.advance(1)
        assert turn.loop.invoke(turn.state) == {}
        turn.answer(ToolMessage("x", tool_call_id=f"c{at}"))


@pytest.mark.parametrize(
    "results",
    [
        ["pending"] * 5,
        [f"pending at 2026-11-21T02:17:0{at}Z" for at in range(5)],
        ["Error: timed out after 1 s", *[f"Error: timed out after {at} s" for at in range(4)]],
        [[{"type": "text", "text": "pending"}]] * 5,
        [ToolResult.error("timeout", f"no answer within {at} s").render() for at in range(5)],
        [ToolResult.success({"state": "x", "elapsed_ms": at}).render() for at in range(5)],
    ],
    ids=["same", "instants", "errors", "blocks", "results", "elapsed"],
)
def test_results_that_say_the_same_climb_the_ladder(results: list[Any]) -> None:
    """Whatever the shape in which a tool says it. What failed each time is not refused before the end."""
    failed = "rror" in str(results[0])
    assert routes(Talk(), results, status="error" if failed else "success")[:5] == (FAILING if failed else LADDER)


@pytest.mark.parametrize(
    "results",
    [
        [f"step {at}" for at in range(5)],
        [[{"type": "text", "text": f"step {at}"}] for at in range(5)],
        [ToolResult.success({"step": at}).render() for at in range(5)],
    ],
    ids=["text", "blocks", "results"],
)
def test_results_that_differ_are_let_through(results: list[Any]) -> None:
    """Whatever the shape in which a tool says it."""
    assert routes(Talk(), results) == ["ok"] * 5


def test_what_was_put_aside_is_told_by_the_content() -> None:
    """`ToolGuard` takes the data of a long result out of the artifact; two such results are not the same."""
    put_aside = {**ToolResult.success(None).artifact()}
    turn = Talk()
    said = []
    for at in range(5):
        turn.ask(("get", {"id": 1}, f"c{at}"), id=f"a{at}")
        said.append(turn.route())
        turn.answer(ToolMessage(f"[artifact] page {at}", tool_call_id=f"c{at}", artifact=put_aside))
    assert said == ["ok"] * 5


def test_the_artifact_tells_what_the_content_cuts() -> None:
    """Two long results that begin alike are two."""
    turn = Talk()
    said = []
    for at in range(5):
        turn.ask(("get", {"id": 1}, f"c{at}"), id=f"a{at}")
        said.append(turn.route())
        turn.answer(ToolResult.success("x" * 200 + str(at)).to_message(f"c{at}", "get", max_chars=100))
    assert said == ["ok"] * 5


# Together with ToolGuard


@tool
def get_order(id: int) -> str:
    """A text."""
    return "the request timed out"


@tool("get_order")
def get_order_json(id: int) -> Any:
    """A result that says what it is."""
    return ToolResult.error("timeout", "no answer")


@tool("get_order")
def get_order_long(id: int) -> str:
    """More than a model should read."""
    return "the same page\n" * 10_000


@tool("get_order")
def get_order_blocks(id: int) -> Any:
    """Content blocks."""
    return [{"type": "text", "text": "the request timed out"}]


UNTRUSTED = ToolContract(name="get_order", timeout=5, side_effects="read", trust="untrusted")


@pytest.mark.parametrize(
    ("made", "contracts"),
    [
        (get_order, None),
        (get_order_json, None),
        (get_order_long, None),
        (get_order_blocks, None),
        (get_order, {"get_order": UNTRUSTED}),
    ],
    ids=["text", "result", "offloaded", "blocks", "fenced"],
)
async def test_behind_tool_guard_the_ladder_is_the_same(made: Any, contracts: Any) -> None:
    """Its notes, fences and artifact ids are new each time, and none of them is news."""
    guard = ToolGuard(contracts, clock=FakeClock())
    app = agent(stuck(), tools=guard.node([made]), state=Host)
    for final in (app.invoke(asks(), thread()), await app.ainvoke(asks(), thread())):
        times = 4 if made is get_order_json else 5  # what failed each time ends sooner
        assert ending(final["messages"])["reason"].startswith(f"loop: get_order was called {times} times")
        assert is_valid(final["messages"])


def test_the_model_reads_the_nudge_beside_the_result() -> None:
    """That is what it is for."""
    app = agent(scripted(get(), get(), get()), tools=ToolGuard(clock=FakeClock()).node([get_order]))
    result = app.invoke(asks(), thread())["messages"][-2]
    assert isinstance(result, ToolMessage)
    assert result.text.startswith("the request timed out")
    assert "with the same arguments 3 times" in result.text


def test_tool_guard_refuses_the_blocked_and_runs_the_rest() -> None:
    """Exactly one answer per call, in the order of the calls."""
    made = {"name": "get_order", "args": {"id": 1}, "id": "b0"}, {"name": "get_order_2", "args": {}, "id": "b1"}

    @tool
    def get_order_2() -> str:
        """Another."""
        return "fine"

    both = AIMessage("", tool_calls=[*made])
    app = agent(scripted(get(), get(), get(), both), tools=ToolGuard(clock=FakeClock()).node([get_order, get_order_2]))
    *_, refused, fine, _ = app.invoke(asks(), thread())["messages"]
    assert (refused.tool_call_id, refused.status, fine.tool_call_id, fine.text) == ("b0", "error", "b1", "fine")
    assert "4 times" in refused.text


def test_contracts_of_tool_guard_say_what_polls() -> None:
    """`contracts=guard.contracts`, and nothing to write twice."""
    contract = ToolContract(name="get_order", timeout=5, side_effects="read", polls=True)
    guard = ToolGuard({"get_order": contract}, clock=FakeClock())
    loop = LoopCheckNode(contracts=guard.contracts, clock=FakeClock())
    messages = agent(scripted(*[get()] * 12), loop, tools=guard.node([get_order])).invoke(asks(), thread())["messages"]
    assert (ran(messages), messages[-1].text) == (12, "Done.")


# Anything goes

ARGS = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3) | st.floats(), max_size=2)
ASKED = st.tuples(st.sampled_from(["get", "look", "", "x" * 200]), ARGS, st.none() | st.sampled_from(["", "c", "d"]))


@settings(max_examples=60, deadline=None)
@given(rounds=st.lists(st.tuples(st.lists(ASKED, max_size=4), st.booleans()), max_size=8))
def test_whatever_models_ask_it_has_a_route_and_one_answer_per_call(rounds: list[Any]) -> None:
    """No ids, the same ids, no name, no answer: a guard that fails takes a healthy run with it."""
    turn = Talk(repeats=2)
    for at, (asked, answers) in enumerate(rounds):
        update = turn.ask(*asked, id=f"a{at}")
        assert turn.route() in ("ok", "revise", "halt")
        assert len(update.get("messages", asked)) == len(asked)
        if answers and turn.route() == "ok":
            turn.answer(*(ToolMessage("x", tool_call_id=id or "", id=f"{at}-{id}") for _, _, id in asked))


@pytest.mark.parametrize(
    "odd",
    [
        {"guard_loops": None, "guard_calls": None, "guard_verdicts": None, "guard_halt": None},
        {"guard_loops": {"turn": "h"}},
        {"guard_loops": {"turn": "h", "turn_seq": 2, "calls": None, "told": None}},
        {"guard_calls": {"c": {}}},
    ],
)
def test_a_state_with_gaps_is_a_state(odd: dict[str, Any]) -> None:
    """An earlier release wrote it, or somebody did by hand."""
    turn = Talk()
    turn.state = {**turn.state, **odd}
    assert routes(turn, ["x"] * 5) == LADDER


# When the graph is built


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"repeats": 1}, "repeats"),
        ({"repeats": 33}, "repeats"),
        ({"repeats": True}, "repeats"),
        ({"repeats": "3"}, "repeats"),
        ({"no_progress": 0}, "no_progress"),
        ({"longest_cycle": 5}, "longest_cycle"),
        ({"longest_cycle": True}, "longest_cycle"),
        ({"per_tool": {"a": 0}}, "per_tool"),
        ({"per_tool": ["a"]}, "per_tool"),
        ({"polls": "wait_for"}, "polls"),
        ({"polls": [1]}, "polls"),
        ({"contracts": "tools.yaml"}, "contracts"),
        ({"ladder": ()}, "ladder"),
        ({"ladder": "halt"}, "ladder"),
        ({"ladder": ("halt", "nudge")}, "ladder"),
        ({"ladder": ("nudge", "nudge")}, "ladder"),
        ({"ladder": ("shout",)}, "ladder"),
        ({"clock": 7}, "clock"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(wrong: dict[str, Any], field: str) -> None:
    """Never in the tenth superstep."""
    with pytest.raises(ConfigError, match=field):
        LoopCheckNode(**wrong)


@pytest.mark.parametrize("settings", [{}, {"repeats": 2, "no_progress": None}, {"longest_cycle": 1}, {"repeats": 32}])
def test_sensible_settings_are_taken(settings: dict[str, Any]) -> None:
    """The bounds themselves are allowed."""
    assert LoopCheckNode(**settings).ladder == RUNGS


@pytest.mark.parametrize("word", ["ok", "execute", "closed"])
@pytest.mark.parametrize("passing", [("ok",), ("execute",), ("closed",), ("ok", "warn")])
def test_words_for_going_on_stand_for_each_other(passing: tuple[str, ...], word: str) -> None:
    """Guards can be swapped and fused without touching the edges."""
    paths = path_map("guard", passing, ("halt",), {word: "tools", "halt": "finish"})
    assert paths == {**dict.fromkeys(passing, "tools"), "halt": "finish"}


def test_a_guards_own_word_comes_first() -> None:
    """And where others disagree, somebody has to say what is meant."""
    targets = {"ok": "model", "execute": "tools", "halt": "finish"}
    assert path_map("guard", ("ok",), ("halt",), targets)["ok"] == "model"
    with pytest.raises(ConfigError, match="closed"):
        path_map("guard", ("closed",), ("halt",), targets)


@pytest.mark.parametrize("targets", [{"ok": "a", "halt": "b"}, {"revise": "a", "halt": "b"}, {"ok": "a", "stop": "b"}])
def test_stopping_words_still_need_their_targets(targets: dict[str, str]) -> None:
    """A loop check without a way to `revise` would end the run in an error of LangGraph's."""
    with pytest.raises(ConfigError):
        LoopCheckNode().paths(**targets)


def test_calls_of_the_script_are_what_they_seem() -> None:
    """The helper of these tests makes a fresh id for each call."""
    first, second = (agent(scripted(get(), calls("b", {}))).invoke(asks(), thread())["messages"][at] for at in (1, 3))
    assert first.tool_calls[0]["id"] != second.tool_calls[0]["id"]
