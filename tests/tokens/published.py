"""Prompts whose tokens were measured at the API and published.

From OpenAI's cookbook (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken) and the cases of
https://github.com/hmarr/openai-chat-tokens, measured with gpt-3.5-turbo. Left out are those that force a function by
name: that is no part of messages or tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, FunctionMessage, HumanMessage, SystemMessage


class Known(NamedTuple):
    """A prompt whose tokens are known."""

    tokens: int
    messages: list[BaseMessage]
    tools: Sequence[dict[str, Any]] = ()
    model: str = "gpt-3.5-turbo"


def function(name: str, description: str | None = None, /, **properties: Any) -> dict[str, Any]:
    """A tool as OpenAI takes it."""
    said = {"name": name, "description": description, "parameters": an_object(**properties)}
    return {"type": "function", "function": {key: value for key, value in said.items() if value is not None}}


def an_object(**properties: Any) -> dict[str, Any]:
    """A schema with these properties."""
    return {"type": "object", "properties": properties}


def one_of(*values: str) -> dict[str, Any]:
    """A schema of a choice."""
    return {"type": "string", "enum": list(values)}


def called(arguments: str) -> AIMessage:
    """A call as it was before there were tools."""
    return AIMessage("", additional_kwargs={"function_call": {"name": "do_stuff", "arguments": arguments}})


def about(schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A schema with a description."""
    return {**schema, "description": description}


TEXT: Final = {"type": "string"}
NUMBER: Final = {"type": "number"}
FLAG: Final = {"type": "boolean"}

JARGON: Final[list[BaseMessage]] = [
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

WEATHER: Final[list[BaseMessage]] = [
    SystemMessage("You are a helpful assistant that can answer to questions about the weather."),
    HumanMessage("What's the weather like in San Francisco?"),
]

GET_WEATHER: Final = function(
    "get_current_weather",
    "Get the current weather in a given location",
    location=about(TEXT, "The city and state, e.g. San Francisco, CA"),
    unit=about(one_of("celsius", "fahrenheit"), "The unit of temperature to return"),
)
GET_WEATHER["function"]["parameters"]["required"] = ["location"]

HELLO: Final[list[BaseMessage]] = [HumanMessage("hello")]
HELLO_WORLD: Final = HumanMessage("hello world")
HI: Final[list[BaseMessage]] = [SystemMessage("Hello"), HumanMessage("Hi there")]
HI_COLON: Final[list[BaseMessage]] = [SystemMessage("Hello:"), HumanMessage("Hi there")]
HELLO_COLON: Final[list[BaseMessage]] = [SystemMessage("Hello:"), SystemMessage("Hello"), HumanMessage("Hi there")]

CONVERSATIONS: Final = [
    *(Known(129, JARGON, model=model) for model in ("gpt-3.5-turbo", "gpt-4-0613", "gpt-4")),
    *(Known(124, JARGON, model=model) for model in ("gpt-4o", "gpt-4o-mini")),
    *(Known(tokens, [one]) for one, tokens in zip(JARGON, (25, 20, 19, 28, 26, 26), strict=True)),
    Known(8, HELLO),
    Known(9, [HELLO_WORLD]),
    Known(8, [SystemMessage("hello")]),
    Known(9, [SystemMessage("hello:")]),
    Known(
        27,
        [SystemMessage("# Important: you're the best robot"), HumanMessage("hello robot"), AIMessage("hello world")],
    ),
]
"""Names, several system messages, two encodings."""

CALLS: Final = [
    Known(15, [HELLO_WORLD, FunctionMessage("{}", name="do_stuff")]),
    Known(28, [HELLO_WORLD, FunctionMessage('{"foo": "bar", "baz": 1.5}', name="do_stuff")]),
    Known(24, [FunctionMessage('{"a": { "b" : { "c": false}}}', name="dance_the_tango")]),
    Known(26, [called('{"foo": "bar", "baz": 1.5}')]),
    Known(25, [called('{"foo":"bar", "baz":\n\n 1.5}')]),
]
"""The calls of functions as they were before there were tools."""

_LETTERS: Final = an_object(bar=one_of("a", "b", "c"), baz=FLAG)
_KINDS: Final = [an_object(kind=TEXT, baz=FLAG), an_object(kind=TEXT, qux=NUMBER), an_object(kind=TEXT, idk=TEXT)]
_PROS: Final = about({"type": "array", "items": TEXT}, "Write 3 points why this text is well written")
_RECIPE: Final = function(
    "get_recipe",
    ingredients={
        "type": "array",
        "items": {
            **an_object(name=TEXT, unit=one_of("grams", "ml", "cups", "pieces", "teaspoons"), amount=NUMBER),
            "required": ["name", "unit", "amount"],
        },
    },
    instructions=about({"type": "array", "items": TEXT}, "Steps to prepare the recipe (no numbering)"),
    time_to_cook=about(NUMBER, "Total time to prepare the recipe in minutes"),
)
_RECIPE["function"]["parameters"]["required"] = ["ingredients", "instructions", "time_to_cook"]
_DESCRIBED: Final = {
    "mainField": about(TEXT, "description3"),
    "field number one": about(
        an_object(
            yesNoField=about(one_of("Yes", "No"), "description5"),
            howIsInteresting=about(TEXT, "description6"),
            scoreInteresting=about(NUMBER, "description7"),
            isInteresting=about(one_of("Yes", "No"), "description8"),
        ),
        "description4",
    ),
}

TOOLS: Final = [
    *(Known(105, WEATHER, [GET_WEATHER], model) for model in ("gpt-3.5-turbo", "gpt-4")),
    *(Known(101, WEATHER, [GET_WEATHER], model) for model in ("gpt-4o", "gpt-4o-mini")),
    Known(31, HELLO, [function("foo")]),
    Known(36, HELLO, [function("foo", "Do a foo")]),
    Known(49, HELLO, [function("bing_bong", "Do a bing bong", foo=TEXT)]),
    Known(57, HELLO, [function("bing_bong", "Do a bing bong", foo=TEXT, bar=about(NUMBER, "A number"))]),
    Known(68, HELLO, [function("bing_bong", "Do a bing bong", foo=_LETTERS)]),
    Known(52, HI, [function("do_stuff", foo={"anyOf": _KINDS[:1]})]),
    Known(80, HI, [function("do_stuff", foo={"anyOf": _KINDS})]),
    Known(44, HI, [function("do_stuff", foo={"anyOf": [TEXT, NUMBER]})]),
    Known(35, HI, [function("do_stuff")]),
    Known(35, HI_COLON, [function("do_stuff")]),
    Known(40, HELLO_COLON, [function("do_stuff")]),
    Known(49, HELLO_COLON, [function("do_stuff"), function("do_other_stuff")]),
    Known(46, HELLO, [function("function", "description", quality=an_object(pros=_PROS))]),
    Known(96, HELLO, [function("function", "desctiption1", **_DESCRIBED)]),
    Known(106, HELLO, [_RECIPE]),
]
"""Schemas cost as type declarations: nested objects, unions, enumerations, and the system message that they join."""
