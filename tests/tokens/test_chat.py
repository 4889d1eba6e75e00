"""What a prompt costs around its contents, against counts that were measured at the API and published.

Counts: OpenAI's cookbook (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken) and the cases of
https://github.com/hmarr/openai-chat-tokens, measured with gpt-3.5-turbo.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langgraph_guard.tokens import count_tokens

JARGON = [
    SystemMessage(
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."
    ),
    SystemMessage("New synergies will help drive top-line growth.", name="example_user"),
    SystemMessage("Things working well together will increase revenue.", name="example_assistant"),
    SystemMessage(
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        name="example_user",
    ),
    SystemMessage("Let's talk later when we're less busy about how to do better.", name="example_assistant"),
    HumanMessage("This late pivot means we don't have time to boil the ocean for the client deliverable."),
]

WEATHER = [
    SystemMessage("You are a helpful assistant that can answer to questions about the weather."),
    HumanMessage("What's the weather like in San Francisco?"),
]


def function(name: str, description: str | None = None, /, **properties: Any) -> dict[str, Any]:
    """A tool as OpenAI takes it."""
    parameters = {"type": "object", "properties": properties}
    said = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": {key: value for key, value in said.items() if value is not None}}


def an_object(**properties: Any) -> dict[str, Any]:
    """A schema with these properties."""
    return {"type": "object", "properties": properties}


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
FLAG = {"type": "boolean"}

GET_WEATHER = function(
    "get_current_weather",
    "Get the current weather in a given location",
    location={"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
    unit={
        "type": "string",
        "description": "The unit of temperature to return",
        "enum": ["celsius", "fahrenheit"],
    },
)
GET_WEATHER["function"]["parameters"]["required"] = ["location"]


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gpt-3.5-turbo", 129), ("gpt-4-0613", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)],
)
def test_the_cookbooks_conversation(model: str, tokens: int) -> None:
    """Names, several system messages, two encodings."""
    assert count_tokens(JARGON, model=model) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
)
def test_the_cookbooks_tool(model: str, tokens: int) -> None:
    """Schemas cost as type declarations, not as JSON."""
    assert count_tokens(WEATHER, model=model, tools=[GET_WEATHER]) == tokens


@pytest.mark.parametrize(("message", "tokens"), [*zip(JARGON, [25, 20, 19, 28, 26, 26], strict=True)])
def test_one_message(message: BaseMessage, tokens: int) -> None:
    """The three tokens of the reply that follows are in it."""
    assert count_tokens([message], model="gpt-3.5-turbo") == tokens


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([HumanMessage("hello")], 8),
        ([HumanMessage("hello world")], 9),
        ([SystemMessage("hello:")], 9),
        (
            [
                SystemMessage("# Important: you're the best robot"),
                HumanMessage("hello robot"),
                AIMessage("hello world"),
            ],
            27,
        ),
        ([HumanMessage("hello world"), FunctionMessage("{}", name="do_stuff")], 15),
        ([HumanMessage("hello world"), FunctionMessage('{"foo": "bar", "baz": 1.5}', name="do_stuff")], 28),
        ([FunctionMessage('{"a": { "b" : { "c": false}}}', name="dance_the_tango")], 24),
        (
            [
                AIMessage(
                    "",
                    additional_kwargs={
                        "function_call": {"name": "do_stuff", "arguments": '{"foo": "bar", "baz": 1.5}'}
                    },
                )
            ],
            26,
        ),
    ],
)
def test_messages(messages: list[BaseMessage], tokens: int) -> None:
    """Every role, and the calls of functions as they were before there were tools."""
    assert count_tokens(messages, model="gpt-3.5-turbo") == tokens


HELLO = [HumanMessage("hello")]
HELLO_COLON = [SystemMessage("Hello:"), SystemMessage("Hello"), HumanMessage("Hi there")]


@pytest.mark.parametrize(
    ("messages", "tools", "tokens"),
    [
        (HELLO, [function("foo")], 31),
        (HELLO, [function("foo", "Do a foo")], 36),
        (HELLO, [function("bing_bong", "Do a bing bong", foo=TEXT)], 49),
        (
            HELLO,
            [function("bing_bong", "Do a bing bong", foo=TEXT, bar={"type": "number", "description": "A number"})],
            57,
        ),
        (
            HELLO,
            [
                function(
                    "bing_bong",
                    "Do a bing bong",
                    foo=an_object(bar={"type": "string", "enum": ["a", "b", "c"]}, baz=FLAG),
                )
            ],
            68,
        ),
        (
            [SystemMessage("Hello"), HumanMessage("Hi there")],
            [function("do_stuff", foo={"anyOf": [an_object(kind=TEXT, baz=FLAG)]})],
            52,
        ),
        (
            [SystemMessage("Hello"), HumanMessage("Hi there")],
            [
                function(
                    "do_stuff",
                    foo={
                        "anyOf": [
                            an_object(kind=TEXT, baz=FLAG),
                            an_object(kind=TEXT, qux=NUMBER),
                            an_object(kind=TEXT, idk=TEXT),
                        ]
                    },
                )
            ],
            80,
        ),
        (
            [SystemMessage("Hello"), HumanMessage("Hi there")],
            [function("do_stuff", foo={"anyOf": [TEXT, NUMBER]})],
            44,
        ),
        ([SystemMessage("Hello"), HumanMessage("Hi there")], [function("do_stuff")], 35),
        ([SystemMessage("Hello:"), HumanMessage("Hi there")], [function("do_stuff")], 35),
        (HELLO_COLON, [function("do_stuff")], 40),
        (HELLO_COLON, [function("do_stuff"), function("do_other_stuff")], 49),
        (
            HELLO,
            [
                function(
                    "function",
                    "description",
                    quality=an_object(
                        pros={
                            "type": "array",
                            "items": TEXT,
                            "description": "Write 3 points why this text is well written",
                        }
                    ),
                )
            ],
            46,
        ),
    ],
)
def test_tools(messages: list[BaseMessage], tools: list[dict[str, Any]], tokens: int) -> None:
    """Nested objects, unions, enumerations, and the system message that the declarations join."""
    assert count_tokens(messages, model="gpt-3.5-turbo", tools=tools) == tokens


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
