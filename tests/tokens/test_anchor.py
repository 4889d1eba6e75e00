"""What the provider reported is the base of the next count, for as long as it is about the same prompt."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_guard.tokens.anchor import HIDDEN
from langgraph_guard.tokens.counter import TokenCounter

QUESTION = HumanMessage("What is the weather in Paris?", id="h1")
SYSTEM = SystemMessage("You are a weather service.")


def answer(read: int, written: int = 20, id: str | None = "a1", text: str = "Sunny.", **more: Any) -> AIMessage:
    """An AI message whose provider says what it read and wrote."""
    usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    usage |= more.pop("usage", {})
    return AIMessage(text, id=id, usage_metadata=usage, **more)


def total(messages: list[BaseMessage], counter: TokenCounter | None = None, **more: Any) -> int:
    """What the next call will read."""
    return (counter or TokenCounter()).estimate(messages, **more).total


NEXT = HumanMessage("And tomorrow?", id="h2")
TAIL = 10
"""Tokens of `NEXT` and of the reply."""


def test_the_next_call_reads_what_was_read_and_written_and_what_came_after() -> None:
    """A hidden system prompt and tools of 8,000 tokens are in the report, and nowhere else."""
    found = TokenCounter().estimate([QUESTION, answer(8_000), NEXT])
    assert (found.source, found.total) == ("usage+tail", 8_020 + TAIL)
    assert found.total <= found.reserve <= found.upper_bound < 8_200


@given(st.lists(st.tuples(st.integers(8_000, 20_000), st.integers(1, 500)), min_size=1, max_size=6))
def test_a_looping_agent_is_never_estimated_below_its_last_report(reports: list[tuple[int, int]]) -> None:
    """That is the bound on money: each turn of the loop holds at least what the one before it read."""
    counter = TokenCounter()
    messages: list[BaseMessage] = [QUESTION]
    for at, (read, written) in enumerate(sorted(reports)):
        counter.reserve(messages, model="scripted")
        messages += [answer(read, written, id=f"a{at}"), ToolMessage("ok", tool_call_id=f"{at}", id=f"t{at}")]
        assert counter.reserve(messages, model="scripted") >= read + written


def test_the_newest_report_counts() -> None:
    """The older ones are in it."""
    assert total([QUESTION, answer(8_000), NEXT, answer(9_000, id="a2")]) == 9_020 + 3


def test_without_a_report_the_older_one_and_a_longer_tail() -> None:
    """Streams often end without usage."""
    messages = [QUESTION, answer(8_000), NEXT, AIMessage("Rain.", id="a2")]
    assert 8_020 + TAIL < total(messages) < 8_020 + TAIL + 12


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        {"input_tokens": -5, "output_tokens": 5, "total_tokens": 0},
        {"input_tokens": None, "output_tokens": "many", "total_tokens": 1},
        {"input_tokens": True, "output_tokens": 5, "total_tokens": 6},
        {"input_tokens": 5, "output_tokens": -1, "total_tokens": 4},
        {"input_tokens": 5, "output_tokens": True, "total_tokens": 6},
        {"input_tokens": 5.0, "output_tokens": 5, "total_tokens": 10},
        {"output_tokens": 5},
        {"total_tokens": 9},
    ],
)
def test_a_report_that_cannot_be_is_none(usage: Any) -> None:
    """Fakes and gateways report what they like."""
    broken = AIMessage("Sunny.", id="a1")
    broken.usage_metadata = usage
    assert TokenCounter().estimate([QUESTION, broken, NEXT]).source != "usage+tail"


# Reasoning


REASONING = {"output_token_details": {"reasoning": 500}}


@pytest.mark.parametrize("name", ["reasoning", "flex_reasoning", "priority_reasoning"])
def test_openais_reasoning_is_not_read_again(name: str) -> None:
    """It is written, billed, and dropped from the next prompt; a tier stands before its name."""
    messages = [QUESTION, answer(1_000, 600, usage={"output_token_details": {name: 500}}), NEXT]
    found = TokenCounter("o3").estimate(messages)
    assert 1_100 < found.total < 1_120
    assert found.upper_bound > 1_600


@pytest.mark.parametrize(
    ("model", "content"),
    [("claude-opus-5", "Sunny."), (None, "Sunny."), ("o3", [{"type": "reasoning", "summary": []}])],
)
def test_reasoning_stays_where_nobody_knows_that_it_goes(model: str | None, content: Any) -> None:
    """And where the message carries it back."""
    assert total([QUESTION, answer(1_000, 600, usage=REASONING, text=content), NEXT], model=model) > 1_600


# Edited histories


def talked(counter: TokenCounter) -> list[BaseMessage]:
    """A conversation that this counter has followed to 9,020 tokens."""
    messages: list[BaseMessage] = [QUESTION, answer(8_000)]
    for new in ([NEXT], [answer(9_000, id="a2")]):
        counter.estimate(messages, model="scripted")
        messages = [*messages, *new]
    counter.estimate(messages, model="scripted")
    return messages


def test_a_report_of_a_summarised_history_is_not_believed() -> None:
    """A counter that believed it would have the summary summarised again, and again."""
    counter = TokenCounter()
    *_, last = talked(counter)
    summary = HumanMessage("Summary: they talked about the weather.", id="s")
    assert total([summary, last, HumanMessage("Thanks", id="h3")], counter) < 50


def test_a_report_at_the_head_of_what_is_left_is_not_believed() -> None:
    """A summary that is a system message leaves the kept answer in the first place."""
    counter = TokenCounter()
    *_, last = talked(counter)
    counter.estimate([SYSTEM])
    assert total([SystemMessage("Summary: weather."), last, NEXT], counter) < 50


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_report_behind_a_changed_message_is_not_believed(at: int) -> None:
    """Nodes rewrite messages under the same id; the older reports before the change still stand."""
    counter = TokenCounter()
    messages = copy.deepcopy(talked(counter))
    messages[at].content = "[cleared]"
    assert total(messages, counter) < 9_000


def test_a_report_behind_the_same_messages_is_believed_again() -> None:
    """Time travel goes back to where it stood, and so does a checkpoint with its new objects."""
    counter = TokenCounter()
    messages = talked(counter)
    counter.estimate(messages[:1])
    assert total(copy.deepcopy(messages), counter) == 9_020 + 3


def test_a_system_message_that_only_the_model_sees_changes_nothing() -> None:
    """The gate looks at the state, the meter at the prompt: the same answer was to both."""
    counter = TokenCounter()
    for messages in ([QUESTION], [QUESTION, answer(8_000), NEXT]):
        assert total(messages, counter) <= total([SYSTEM, *messages], counter, model="scripted")
    assert total([SYSTEM, QUESTION, answer(8_000), NEXT], counter, model="scripted") == 8_020 + TAIL


def test_what_stands_around_the_messages_is_added_when_it_grows() -> None:
    """A system prompt that a node lengthens was not in the last report."""
    counter = TokenCounter()
    counter.estimate([SYSTEM, QUESTION], model="scripted")
    longer = SystemMessage("You are a weather service. " + "Be brief. " * 500)
    messages = [QUESTION, answer(8_000), NEXT]
    grown = counter([longer]) - counter([SYSTEM])
    assert total([longer, *messages], counter, model="scripted") == 8_020 + TAIL + grown


def test_tools_that_were_bound_since_are_added() -> None:
    """The same for schemas."""
    counter = TokenCounter()
    tool = {"type": "function", "function": {"name": "search", "description": "Search. " * 100, "parameters": {}}}
    counter.estimate([QUESTION], model="scripted")
    messages = [QUESTION, answer(8_000), NEXT]
    assert total(messages, counter, tools=[tool], model="scripted") > 8_020 + TAIL + 100


# First sight


def test_at_first_sight_a_report_may_contain_much_that_is_hidden() -> None:
    """After a restart nobody knows the system prompt; most are shorter than this."""
    assert total([QUESTION, answer(HIDDEN), NEXT]) > HIDDEN


def test_at_first_sight_a_report_of_far_more_than_can_be_seen_is_of_a_history_that_is_gone() -> None:
    """The kept answer of a summarised conversation says 60,000, and 30 are left."""
    assert total([HumanMessage("Summary: weather."), answer(60_000), NEXT]) < 50


def test_a_report_whose_prompt_was_counted_is_believed_however_large() -> None:
    """Then the prompt is known, and the rest of it is what is hidden."""
    counter = TokenCounter()
    counter.estimate([QUESTION])
    assert total([QUESTION, answer(500_000), NEXT], counter) > 500_000


# Other models


def test_another_models_report_is_not_believed() -> None:
    """The small helper's prompt was another one; the last report of this model counts."""
    helper = answer(100, id="a2", response_metadata={"model_name": "gpt-4o-mini-2024-07-18"})
    own = answer(8_000, response_metadata={"model_name": "gpt-4o-2024-08-06"})
    assert total([QUESTION, own, NEXT, helper], model="gpt-4o") > 8_000


def test_a_gateway_may_answer_in_anothers_name() -> None:
    """What was asked is known, if it was counted before."""
    counter = TokenCounter()
    counter.estimate([QUESTION], model="gpt-4o")
    odd = answer(8_000, response_metadata={"model_name": "gpt-4.1-2025-04-14"})
    assert total([QUESTION, odd, NEXT], counter, model="gpt-4o") > 8_000


def test_the_answer_to_another_model_is_not_this_ones() -> None:
    """The same messages, two models: who was asked last before the answer came is who answered."""
    counter = TokenCounter()
    counter.estimate([QUESTION], model="claude-opus-5")
    assert total([QUESTION, answer(8_000), NEXT], counter, model="gpt-4o") < 50


LONG = HumanMessage("The quick brown fox jumps over the lazy dog. " * 1_000, id="h1")


@pytest.mark.parametrize("model", ["gpt-4o", None])
def test_a_report_without_the_cached_tokens_is_not_believed(model: str | None) -> None:
    """Some gateways report only what was not in the cache: a tenth of what the call costs to hold."""
    assert total([LONG, answer(1_000), NEXT], model=model) > 9_000


def test_a_report_of_less_than_was_sent_is_not_believed_by_a_look_either() -> None:
    """The gate sees what the meter counted for the call: the many short messages were all in it."""
    messages: list[BaseMessage] = [HumanMessage("fox " * 10, id=f"h{at}") for at in range(100)]
    counter = TokenCounter()
    counter.reserve(messages)
    assert total([*messages, answer(100), NEXT], counter) > 1_000


def test_a_call_to_a_model_without_a_name_is_a_call() -> None:
    """What is held for it is no less than what can be seen."""
    messages: list[BaseMessage] = [HumanMessage("fox " * 10, id=f"h{at}") for at in range(100)]
    assert TokenCounter().reserve([*messages, answer(100), NEXT]) > 1_000


def test_a_model_that_reads_only_the_end_of_a_state_reports_little() -> None:
    """Nodes trim on the way to the model: a gate that counted all of it would stop a run that is well."""
    counter = TokenCounter()
    state = [LONG, answer(9_000), NEXT]
    counter.reserve(state[1:], model="gpt-4o")
    assert total([*state, answer(60, id="a2")], counter) == 80 + 3


@pytest.mark.parametrize("threads", [8])
def test_one_counter_serves_many_threads(threads: int) -> None:
    """All of a process's conversations go through one."""
    from concurrent.futures import ThreadPoolExecutor

    counter = TokenCounter()

    def follow(number: int) -> list[int]:
        messages: list[BaseMessage] = [HumanMessage(f"Question {number}", id=f"h{number}")]
        found = []
        for turn in range(30):
            counter.reserve(messages, model="scripted")
            messages += [
                answer(8_000 + 100 * turn, id=f"{number}-{turn}"),
                HumanMessage("more", id=f"m{number}-{turn}"),
            ]
            found.append(total(messages, counter, model="scripted"))
        return found

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(follow, range(threads)))
    assert {tuple(one) for one in found} == {tuple(follow(99))}
