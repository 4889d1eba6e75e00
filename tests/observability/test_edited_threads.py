"""A person writes into a thread with `update_state`: which trace its runs belong to then.

LangGraph keeps the metadata of a run with its checkpoints; an edit is none, and its checkpoint has no trace id.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_guard.observability import arun_config, feedback, run_config, setup
from langgraph_guard.observability.runs import EDITS

ASKED: Final[Any] = {"messages": [("user", "find kites")]}
EDIT: Final = {"messages": [("user", "and boats")]}
THREAD: Final[Any] = {"configurable": {"thread_id": "t-1"}}


@pytest.fixture
def app(no_langfuse: None) -> Any:
    """A node that asks a person."""
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [("ai", interrupt("search?"))]})
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=InMemorySaver())


def trace(config: Any) -> str:
    """The id that a config has for its run."""
    found: str = config["metadata"]["guard_trace_id"]
    return found


def asked(app: Any) -> str:
    """A turn, up to its question; its trace."""
    config = run_config(app, thread_id="t-1")
    app.invoke(ASKED, config)
    return trace(config)


def answered(app: Any) -> str:
    """The rest of a turn; its trace."""
    config = run_config(app, thread_id="t-1")
    app.invoke(Command(resume="yes"), config)
    return trace(config)


class Counted:
    """A graph whose reads are counted."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.reads = 0

    def get_state(self, config: Any) -> Any:
        self.reads += 1
        return self._app.get_state(config)

    async def aget_state(self, config: Any) -> Any:
        self.reads += 1
        return await self._app.aget_state(config)


@pytest.mark.parametrize("edits", [1, 3])
async def test_a_resume_after_an_edit_joins_the_trace(app: Any, edits: int) -> None:
    """A reviewer puts right what the agent got wrong, and lets it go on: one piece of work. No history is read."""
    first = asked(app)
    for _ in range(edits):
        app.update_state(THREAD, EDIT)
    graph = Counted(app)
    assert trace(run_config(graph, thread_id="t-1")) == first
    assert trace(await arun_config(graph, thread_id="t-1")) == first
    assert graph.reads == 2 * (1 + edits)


def test_a_resume_after_a_copy_joins_the_trace(app: Any) -> None:
    """A fork of the checkpoint that waits, without a change."""
    first = asked(app)
    app.update_state(THREAD, None, as_node="__copy__")
    assert trace(run_config(app, thread_id="t-1")) == first


def test_more_edits_than_are_looked_through_begin_a_trace(app: Any) -> None:
    """The start of a run does not read a thread's whole history."""
    first = asked(app)
    for _ in range(EDITS):
        app.update_state(THREAD, EDIT)
    graph = Counted(app)
    assert trace(run_config(graph, thread_id="t-1")) != first
    assert graph.reads == EDITS


@pytest.mark.parametrize("node", [None, START], ids=["as the last node", "as a question"])
def test_the_turn_after_an_edit_of_what_is_done_is_a_trace_of_its_own(app: Any, node: str | None) -> None:
    """What is done is done, also where the edit itself leaves work to do."""
    first = asked(app)
    assert answered(app) == first
    app.update_state(THREAD, EDIT, as_node=node)
    assert trace(run_config(app, thread_id="t-1")) != first


def test_an_edit_of_a_run_that_nobody_watched_joins_no_older_trace(app: Any) -> None:
    """The trace of the turn before that is another one's."""
    first = asked(app)
    answered(app)
    app.invoke(ASKED, THREAD)
    app.update_state(THREAD, EDIT)
    assert trace(run_config(app, thread_id="t-1")) != first


def test_feedback_after_an_edit_is_on_the_trace_of_the_answer(app: Any) -> None:
    """Support corrects an answer, and the customer's verdict comes after that, to another process."""
    rows: list[Any] = []
    asked(app)
    first = answered(app)
    app.update_state(THREAD, EDIT)
    seen = setup(steps=rows, metrics=False)
    assert feedback("t-1", 1, graph=app)
    assert seen.flush(30)
    assert [row.trace_id for row in rows if row.kind == "feedback"] == [first]
