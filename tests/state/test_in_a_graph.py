"""The reducers in real graphs: what a user gets whatever the host state, the edges and the checkpointer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langgraph_guard.errors import ConfigError
from langgraph_guard.state import REDUCERS, last, sum_by_key
from tests.state.graphs import BOTH, HOSTS, ONE, OTHER, TypedDictHost, in_a_row, side_by_side, writer
from tests.state.strategies import FULL_STATE, VALUES

THREAD: Any = {"configurable": {"thread_id": "t"}}
INPUT = {"question": "why?"}
ORDERED = {"goal", "notes", "log", "guard_verdicts"}
"""Keys whose reducer keeps an order, and says so."""

every_host = pytest.mark.parametrize("host", HOSTS)


def _values(app: Any) -> dict[str, Any]:
    return {key: value for key, value in app.get_state(THREAD).values.items() if key != "question"}


def _strict() -> JsonPlusSerializer:
    return JsonPlusSerializer(allowed_msgpack_modules=None)


@every_host
def test_own_keys_merge_in_every_kind_of_host(host: type) -> None:
    """LangGraph reads the same annotation in three ways; a reducer that it misses is a silent last write wins."""
    app = in_a_row(host, ONE, OTHER, saver=InMemorySaver())

    app.invoke(INPUT, THREAD)

    assert _values(app).items() >= BOTH.items()


@every_host
def test_the_guards_keys_join_every_kind_of_host(host: type) -> None:
    """A user adds a node to the graph that they have; their state class stays as it is."""
    app = in_a_row(host, FULL_STATE, FULL_STATE, saver=InMemorySaver())

    app.invoke(INPUT, THREAD)

    assert _values(app).items() >= FULL_STATE.items()


def test_inherited_keys_are_part_of_the_output() -> None:
    """That is what inheriting `GuardState` is for."""
    assert in_a_row(TypedDictHost, FULL_STATE).invoke(INPUT).items() >= FULL_STATE.items()


class OtherBound(TypedDict):
    """A view that declares a host's key with another bound."""

    notes: Annotated[list[str], last(4)]


def test_another_bound_in_a_second_schema_is_an_error() -> None:
    """Two truths about one key must not be settled by which node was added first."""

    def clashing(state: OtherBound) -> None: ...

    with pytest.raises(ValueError, match="notes"):
        StateGraph(TypedDictHost).add_node(clashing)


@settings(max_examples=25)
@given(data=st.data())
def test_parallel_branches_commute_whatever_their_names(data: st.DataObject) -> None:
    """LangGraph applies a superstep's writes in the order of node names; renaming a node changes nothing."""
    one, other = ({key: data.draw(values) for key, values in VALUES.items()} for _ in range(2))
    one, other = {**one, **ONE}, {**other, **OTHER}

    so = side_by_side(TypedDictHost, a=one, b=other).invoke(INPUT)
    or_so = side_by_side(TypedDictHost, a=other, b=one).invoke(INPUT)

    assert {key: so[key] for key in so if key not in ORDERED} == {key: or_so[key] for key in so if key not in ORDERED}


@pytest.mark.parametrize("update", [{**ONE, **FULL_STATE}, {**OTHER, **FULL_STATE}])
def test_conditional_edges_count_nothing_twice(update: dict[str, Any]) -> None:
    """Before it routes, LangGraph applies the node's writes to copies of the channels, then again for good."""
    seen: list[dict[str, Any]] = []

    def route(state: TypedDictHost) -> str:
        seen.append({**state})
        return END

    graph: Any = StateGraph(TypedDictHost)
    graph.add_node("first", writer(ONE))
    graph.add_node("second", writer(update))
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_conditional_edges("second", route, [END])

    routed = graph.compile().invoke(INPUT)

    assert [routed] == seen
    assert routed == in_a_row(TypedDictHost, ONE, update).invoke(INPUT)


def test_update_state_merges() -> None:
    """An operator's correction is a write like any other; it must not erase what the guards know."""
    app = in_a_row(TypedDictHost, {**ONE, **FULL_STATE}, saver=InMemorySaver())
    app.invoke(INPUT, THREAD)

    app.update_state(THREAD, {**OTHER, "guard_usage": {"session": {"tokens": 7}}})

    assert _values(app).items() >= BOTH.items()
    assert _values(app)["guard_usage"] == {
        **FULL_STATE["guard_usage"],
        "session": {**FULL_STATE["guard_usage"]["session"], "tokens": 7},
    }


def test_a_replay_leaves_the_guards_keys_as_they_were() -> None:
    """Time travel runs nodes again on an older state; a figure that counts twice is a bill that is wrong."""
    app = in_a_row(TypedDictHost, FULL_STATE, FULL_STATE, saver=InMemorySaver())
    app.invoke(INPUT, THREAD)
    between = next(each.config for each in app.get_state_history(THREAD) if each.next == ("step_1",))

    app.invoke(None, between)

    assert {key: value for key, value in _values(app).items() if key in REDUCERS} == FULL_STATE


@pytest.mark.parametrize("key", sorted(REDUCERS))
@given(data=st.data())
def test_every_value_survives_strict_msgpack(key: str, data: st.DataObject) -> None:
    """Strict mode turns what it does not know into raw data; builtins come back as they went."""
    value = REDUCERS[key](data.draw(VALUES[key]), data.draw(VALUES[key]))

    back = _strict().loads_typed(_strict().dumps_typed(value))

    assert (back, repr(back)) == (value, repr(value))


def test_a_thread_reloads_as_it_was_and_goes_on_merging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A restart is not an event: another process opens the database and the state is equal, not only alike."""
    path = str(tmp_path / "runs.db")
    with SqliteSaver.from_conn_string(path) as saver:
        saver.serde = _strict()
        before = in_a_row(TypedDictHost, ONE, FULL_STATE, saver=saver)
        before.invoke(INPUT, THREAD)
        written = before.get_state(THREAD).values

    with SqliteSaver.from_conn_string(path) as saver, caplog.at_level(logging.WARNING):
        saver.serde = _strict()
        app = in_a_row(TypedDictHost, OTHER, FULL_STATE, saver=saver)
        read = app.get_state(THREAD).values
        app.invoke(INPUT, THREAD)

        assert (read, repr(read)) == (written, repr(written))
        assert _values(app) == {**BOTH, **FULL_STATE}
        assert caplog.records == []


def test_a_refused_write_is_not_stored_and_can_be_answered_for() -> None:
    """A bad figure must cost one step, not the thread."""
    app = in_a_row(TypedDictHost, ONE, {"calls": {"search": "three"}}, saver=InMemorySaver())
    with pytest.raises(ConfigError, match="search"):
        app.invoke(INPUT, THREAD)

    app.update_state(THREAD, {"calls": {"search": 3}}, as_node="step_1")

    assert _values(app)["calls"] == sum_by_key(ONE["calls"], {"search": 3})
