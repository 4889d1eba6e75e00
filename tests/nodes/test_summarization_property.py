"""Whatever the history: after a visit it fits, providers take it, what is pinned is as it was; or the run is halted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, SystemMessage

from langgraph_guard import SummarizationNode, TokenCounter
from langgraph_guard.testing import ScriptedChatModel, calls, fails
from tests.nodes.summarizing import after, histories, is_accepted, patches, people, summarizer, text

LIMITS = st.sampled_from([64, 100, 160, 300, 600, 1_500, 4_000])
TOOLS = [{"name": "search", "description": text(8), "parameters": {"type": "object", "properties": {}}}]


def model(kind: str) -> ScriptedChatModel | None:
    """A summarizer of each temper."""
    replies: dict[str, Any] = {
        "empty": "",
        "chatty": text(3_000),
        "endless": patches(*(("facts", text(60, at)) for at in range(100))),
        "calling": calls("search", {"q": "kites"}),
        "failing": fails(ConnectionError("gone")),
        "forgetful": '{"patches": [{"op": "remove", "id": "f1"}]}',
    }
    if kind == "none":
        return None
    return ScriptedChatModel([replies[kind]], repeat_last=True) if kind in replies else summarizer()


MODELS = st.sampled_from(["none", "none", "good", "empty", "chatty", "endless", "calling", "failing", "forgetful"])


@st.composite
def nodes(draw: st.DrawFn) -> SummarizationNode:
    """A node with any settings that go together."""
    limit = draw(LIMITS)
    return SummarizationNode(
        model(draw(MODELS)),
        max_tokens=limit,
        reserve=draw(st.sampled_from([None, 0, limit // 3])),
        keep=draw(st.integers(0, 5)),
        window=draw(st.sampled_from([None, 8_000])),
        tools=draw(st.sampled_from([[], TOOLS])),
        artifacts=draw(st.sampled_from([None, True])),
        every_n_steps=draw(st.sampled_from([None, None, 2])),
        mode=draw(st.sampled_from(["replace", "replace", "view"])),
    )


def visit(node: SummarizationNode, state: dict[str, Any]) -> tuple[dict[str, Any], list[BaseMessage]]:
    """The state after a visit, and what the model reads then."""
    update = node.invoke(state)
    verdicts = {**state.get("guard_verdicts", {}), **update.get("guard_verdicts", {})}
    new = {**state, **update, "guard_verdicts": verdicts, "messages": after(state["messages"], update)}
    return new, node.view(new)


def holds(node: SummarizationNode, history: list[BaseMessage]) -> None:
    """The four promises, of one history."""
    new, shown = visit(node, {"messages": history})
    if node.route(new) == "halt":  # type: ignore[arg-type]
        assert new["messages"] == history
        assert new["guard_halt"]["reason"] == "context_irreducible"
        return
    means = node._means
    assert TokenCounter()(shown, means.sizes._tools) <= means.waters.limit - means.waters.reserve
    assert is_accepted(shown)
    assert pinned_stay(history, shown)
    again, shown_again = visit(node, new)
    assert kept(again) == kept(new)
    assert shown_again == shown


def kept(state: dict[str, Any]) -> dict[str, Any]:
    """All but whose turn it is: where messages have no ids, a turn is known by the place of its message."""
    return {key: value for key, value in state.items() if key != "guard_verdicts"}


def pinned_stay(history: list[BaseMessage], shown: list[BaseMessage]) -> bool:
    """System messages at the front and the last words of a person as they were; the first ones whole or in part."""
    front = 0
    while front < len(history) and isinstance(history[front], SystemMessage):
        front += 1
    same = [each.content for each in shown[:front]] == [each.content for each in history[:front]]
    before, now = people(history), people(shown)
    if not before:
        return same
    first = str(before[0].content) == str(now[0].content) or len(now) > 1
    return same and first and now[-1].content == before[-1].content


@given(nodes(), histories())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_a_visit_keeps_its_promises(node: SummarizationNode, history: list[BaseMessage]) -> None:
    """Long sessions end in every one of these states, sooner or later."""
    holds(node, history)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(nodes(), histories())
@settings(max_examples=2_500, suppress_health_check=list(HealthCheck))
def test_a_visit_keeps_its_promises_at_length(node: SummarizationNode, history: list[BaseMessage]) -> None:
    """The same, with as many histories as it takes to believe it."""
    holds(node, history)
