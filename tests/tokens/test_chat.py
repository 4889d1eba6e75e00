"""What a prompt costs around its contents, against counts that were measured at the API and published."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, RemoveMessage, ToolMessage

from langgraph_guard.tokens import count_tokens
from tests.tokens.published import CALLS, CONVERSATIONS, HELLO, TOOLS, Known


@pytest.mark.parametrize("case", [*CONVERSATIONS, *CALLS, *TOOLS])
def test_published_counts(case: Known) -> None:
    """Every role, names, calls, schemas, two encodings: the count is what the API said."""
    assert count_tokens(case.messages, model=case.model, tools=case.tools) == case.tokens


def words(count: int) -> str:
    """A text of so many tokens."""
    return " ".join(["word"] * count)


def test_a_tool_call_and_its_result() -> None:
    """As the open format of gpt-oss writes them: eleven tokens around a call, ten around a result, no ids."""
    call = {"name": "search", "args": {}, "id": "call_" + "x" * 40}
    asking = AIMessage("", tool_calls=[call])
    result = ToolMessage(words(5), name="search", tool_call_id=call["id"])
    assert count_tokens([asking], model="gpt-4o") == 3 + 11 + 1 + 1
    assert count_tokens([asking, result], model="gpt-4o") == 16 + 10 + 1 + 5


def test_a_call_counts_once_however_often_it_is_said() -> None:
    """Anthropic's answers have calls in their content as well."""
    call = {"name": "search", "args": {"query": words(50)}, "id": "1"}
    block = {"type": "tool_use", "name": "search", "input": {"query": words(50)}, "id": "1"}
    plain = count_tokens([AIMessage("", tool_calls=[call])])
    assert count_tokens([AIMessage([block], tool_calls=[call])]) - plain == 4


def test_a_call_that_could_not_be_read_is_sent_again_too() -> None:
    """What a model garbled stays in its context."""
    call: Any = {"name": "search", "args": words(50), "id": "1", "error": "no JSON", "type": "invalid_tool_call"}
    assert count_tokens([AIMessage("", invalid_tool_calls=[call])]) > 60


def test_a_role_of_ones_own_is_written_out() -> None:
    """LangChain's `ChatMessage` may have any."""
    assert count_tokens([ChatMessage("hello", role="user")]) == count_tokens(HELLO)


def test_a_removal_is_no_message() -> None:
    """It never reaches a model, and may stand in the list that is counted."""
    assert count_tokens([*HELLO, RemoveMessage(id="1")]) == count_tokens(HELLO)


def test_no_prompt_is_no_tokens() -> None:
    """There is no reply to nothing."""
    assert count_tokens([]) == 0


def test_messages_may_be_written_as_langchain_lets_one() -> None:
    """Pairs, dictionaries and strings become messages at the model, so they do here."""
    assert (
        count_tokens([("user", "hello")]) == count_tokens([{"role": "user", "content": "hello"}]) == count_tokens(HELLO)
    )
