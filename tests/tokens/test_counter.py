"""`TokenCounter`: what users, nodes and LangChain's own functions ask of it."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.tools import tool
from pydantic import BaseModel

from langgraph_guard.errors import ConfigError
from langgraph_guard.tokens import text
from langgraph_guard.tokens.counter import TokenCounter, count_tokens
from langgraph_guard.tokens.recent import Recent

HISTORY: list[BaseMessage] = [
    HumanMessage("word " * 100, id="h1"),
    AIMessage(
        "word " * 100, id="a1", usage_metadata={"input_tokens": 8_000, "output_tokens": 5, "total_tokens": 8_005}
    ),
    HumanMessage("word " * 100, id="h2"),
]


@tool
def search(query: str, limit: int = 5) -> str:
    """Search the archive."""
    return query * limit


class Weather(BaseModel):
    """The weather of a city."""

    city: str


def lookup(city: str) -> str:
    """Look a city up."""
    return city


def test_importing_it_loads_no_tokenizer() -> None:
    """A process that never counts does not pay for a table of two hundred thousand tokens."""
    script = (
        "import sys, langgraph_guard.tokens\n"
        "print([name for name in sys.modules if name in ('tiktoken', 'regex', 'httpx')])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize("alone", ["Where is my order?", HumanMessage("Where is my order?")], ids=["text", "message"])
def test_a_text_or_a_message_by_itself_is_a_prompt(alone: Any) -> None:
    """Taken for a list, a text would be a message for each of its letters."""
    counter = TokenCounter("gpt-4o")
    whole = [HumanMessage("Where is my order?")]
    assert counter(alone) == counter(whole)
    assert counter.estimate(alone).total == counter.estimate(whole).total
    assert counter.fits(alone, counter(whole))


@pytest.mark.parametrize("strategy", ["first", "last"])
def test_it_trims_with_langchain(strategy: Any) -> None:
    """`trim_messages` counts parts of a history, some of them backwards: a report must not mislead it."""
    counter = TokenCounter("gpt-4o")
    kept = trim_messages(HISTORY, max_tokens=250, token_counter=counter, strategy=strategy)
    assert len(kept) == 2
    assert counter(kept) <= 250


def test_trimming_does_not_spoil_the_next_estimate() -> None:
    """The same counter may serve the meter."""
    counter = TokenCounter("gpt-4o")
    trim_messages(HISTORY, max_tokens=250, token_counter=counter, strategy="last")
    assert counter.estimate(HISTORY).total > 8_005


def test_called_it_says_what_the_messages_are_by_themselves() -> None:
    """And `estimate` says what a call with them will read."""
    counter = TokenCounter("gpt-4o")
    assert counter(HISTORY) < 350 < 8_005 < counter.estimate(HISTORY).total


def test_the_source_of_a_count_is_named() -> None:
    """People should see when counts get worse."""
    counter = TokenCounter("gpt-4o")
    found = [counter.estimate(HISTORY), counter.estimate(HISTORY[:1])]
    assert [(one.source, one.exact) for one in found] == [("usage+tail", True), ("tiktoken", True)]


def test_without_a_vocabulary_counts_are_estimates(fresh_process: None) -> None:
    """They say so, and half as much again is held."""
    found = TokenCounter("gpt-4o").estimate([HumanMessage("word " * 100)])
    assert (found.source, found.exact) == ("estimate", False)
    assert found.total == 108
    assert found.reserve == 162


def test_more_is_held_the_less_is_known() -> None:
    """Two per cent where the vocabulary is the model's own; up to the bound where it is not."""
    messages = [HumanMessage("The quick brown fox jumps over the lazy dog. " * 20)]
    ratios = [
        (found := TokenCounter(model).estimate(messages)).reserve / found.total
        for model in ("gpt-4o", "claude-opus-5", "gemini-2.5-pro")
    ]
    assert ratios == sorted(ratios)
    assert 1.01 < ratios[0] < 1.03
    assert 1.49 < ratios[-1] < 1.51


def test_the_bound_can_be_held_instead() -> None:
    """For those who want no estimate at all between them and their limit."""
    found = TokenCounter("gpt-4o", margin=math.inf).estimate(HISTORY[:1])
    assert found.reserve == found.upper_bound >= 500


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("margin", {"margin": 0.5}),
        ("margin", {"margin": math.nan}),
        ("margin", {"margin": "2"}),
        ("model", {"model": 4}),
    ],
)
def test_wrong_settings_fail_at_once(field: str, settings: dict[str, Any]) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError, match=f"^{field}: "):
        TokenCounter(**settings)


# Tools


@pytest.mark.parametrize("one", [search, Weather, lookup])
def test_any_tool_that_langchain_binds_is_counted(one: Any) -> None:
    """Tools, models and functions, as `bind_tools` takes them."""
    counter = TokenCounter("gpt-4o")
    assert 15 < counter(HISTORY, [one]) - counter(HISTORY) < 60


@pytest.mark.parametrize(
    "one",
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}},
        {"name": "search", "description": "Search.", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "loop",
            "parameters": {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}}}},
        },
        {"type": "function", "function": {"name": None, "parameters": {"properties": [], "required": 3}}},
        {"type": "function", "function": "odd"},
        {"odd": object()},
        "odd",
        None,
        17,
    ],
)
def test_anything_else_is_counted_somehow(one: Any) -> None:
    """Providers have tools of their own, schemas refer to themselves, and people make mistakes."""
    counter = TokenCounter("gpt-4o")
    found = counter.estimate(HISTORY[:1], [one])
    assert counter(HISTORY[:1]) < found.total <= found.upper_bound


def test_claude_gets_a_prompt_of_its_own_around_tools() -> None:
    """Anthropic writes some hundred tokens that nobody sees: its example of one small tool reports 403."""
    counter = TokenCounter("claude-opus-5")
    schema = {"name": "get_weather", "description": "Get the current weather", "input_schema": {"type": "object"}}
    assert counter([HumanMessage("What's the weather?")], [schema]) > 370


def test_schemas_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with forty tools is called at each step."""
    from langgraph_guard.tokens import counter as module

    converted: list[int] = []
    real = module.schemas_of

    def spied(tools: Any) -> Any:
        converted.append(len(tools))
        return real(tools)

    monkeypatch.setattr(module, "schemas_of", spied)
    counter = TokenCounter()
    for _ in range(3):
        counter(HISTORY, [search, Weather])
        counter(HISTORY, [{"type": "function", "function": {"name": "f", "parameters": {}}}])
    assert converted == [2, 1]


# Limits


def test_a_prompt_fits_or_does_not() -> None:
    """At the token."""
    counter = TokenCounter("gpt-4o")
    exactly = counter(HISTORY[:1])
    assert [counter.fits(HISTORY[:1], limit) for limit in (exactly, exactly - 1, 0)] == [True, False, False]


def test_what_is_hidden_must_fit_too() -> None:
    """The report says 8,005, whatever can be seen."""
    counter = TokenCounter("gpt-4o")
    assert (counter.fits(HISTORY, 5_000), counter.fits(HISTORY, 9_000)) == (False, True)


def test_a_huge_document_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes against 4,000 tokens: a few chunks are enough to know."""
    read: list[int] = []
    real = text.chunks

    def spied(*args: Any) -> Any:
        for chunk in real(*args):
            read.append(len(chunk))
            yield chunk

    monkeypatch.setattr(text, "chunks", spied)
    assert not TokenCounter("gpt-4o").fits([HumanMessage("The invoice was paid twice.\n" * 350_000)], 4_000)
    assert 1 <= len(read) <= 3


def test_a_long_message_that_was_counted_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit is checked at each step, against the same long messages."""
    counter = TokenCounter("gpt-4o")
    messages = [HumanMessage("The invoice was paid twice.\n" * 1_000)]
    assert counter.fits(messages, 20_000)

    def refuse(*_: Any) -> int:
        raise AssertionError

    monkeypatch.setattr("langgraph_guard.tokens.counter.count_up_to", refuse)
    assert not counter.fits(messages, 100)


# Memory


def test_what_is_remembered_is_bounded() -> None:
    """A process that serves a million conversations keeps the last few."""
    recent: Recent[int, int] = Recent(3)
    for at in range(10):
        recent.put(at, at)
        recent.get(0)
    assert (len(recent), recent.get(9), recent.get(5)) == (3, 9, None)


def test_a_conversation_that_was_forgotten_is_counted_the_same() -> None:
    """Memory is speed, and nothing else."""
    counter = TokenCounter("gpt-4o")
    counter._messages, counter._histories = Recent(1), Recent(1)
    other = [SystemMessage("x"), HumanMessage("y", id="other"), ToolMessage("z", tool_call_id="1")]
    found = [(counter(HISTORY), counter(other)) for _ in range(3)]
    assert set(found) == {(count_tokens(HISTORY, model="gpt-4o"), count_tokens(other, model="gpt-4o"))}
