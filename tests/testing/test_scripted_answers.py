"""How a scripted model answers: usage, caps, metadata, delays, streams, in the manner of a provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, message_chunk_to_message, trim_messages
from langchain_core.outputs import LLMResult
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_guard.errors import ConfigError
from langgraph_guard.testing import FakeClock, Reply, ScriptedChatModel, calls, fails, says

LONG = "The quick brown fox\njumps  over the lazy dog. "
MANY: list[Reply] = [
    says(LONG),
    says("hi"),
    says(""),
    says("  leading and trailing  "),
    says("no usage at all", usage=None),
    says("reported", usage={"input_tokens": 9, "output_tokens": 4, "input_token_details": {"cache_read": 5}}),
    says("oddly ended", finish_reason="content_filter"),
    calls("search", {"query": "größe of kites", "deep": {"list": [1, None, "x y"]}}),
    calls("search", {}, text="Let me look."),
    Reply("both", [("search", {"query": "a b"}), ("search", {"query": "c"})]),
    Reply("named", model_name="gpt-4o-2024-08-06"),
    Reply(message=AIMessage([{"type": "text", "text": "a block"}], additional_kwargs={"refusal": None})),
    Reply(message=AIMessage("kept", response_metadata={"system_fingerprint": "fp_1"})),
]


def merged(chunks: Iterable[AIMessageChunk]) -> AIMessage:
    """A stream as the message that it adds up to."""
    first, *rest = chunks
    message = message_chunk_to_message(first + rest)
    assert isinstance(message, AIMessage)
    return message


def twins(reply: Reply, **fields: Any) -> tuple[ScriptedChatModel, ScriptedChatModel]:
    """Two models with the same script and the same ids."""
    one, two = (ScriptedChatModel([reply], id_prefix="s", **fields) for _ in range(2))
    return one, two


@pytest.mark.parametrize("reply", MANY)
@pytest.mark.parametrize("cap", [None, 2])
def test_a_stream_adds_up_to_what_a_plain_call_returns(reply: Reply, cap: int | None) -> None:
    """Whether a run is streamed must not change what it costs, or what the graph sees."""
    plain, streamed = twins(reply, max_tokens=cap)
    assert merged(streamed.stream("x")) == plain.invoke("x")


@pytest.mark.parametrize("reply", MANY)
async def test_an_async_stream_adds_up_to_what_an_async_call_returns(reply: Reply) -> None:
    """The same in a server, where every call is async."""
    plain, streamed = twins(reply)
    assert merged([chunk async for chunk in streamed.astream("x")]) == await plain.ainvoke("x")


async def test_sync_and_async_answers_are_the_same() -> None:
    """A test written for one world holds in the other."""
    one, two = twins(says(LONG))
    assert one.invoke("x") == await two.ainvoke("x")


def test_text_arrives_word_by_word_and_usage_comes_last() -> None:
    """A cut stream has no usage: the reason why a settle must fall back on the reservation."""
    *body, last = ScriptedChatModel([says("one two three")]).stream("x")
    assert [chunk.text for chunk in body] == ["one ", "two ", "three"]
    assert all(chunk.usage_metadata is None for chunk in body)
    assert last.usage_metadata is not None
    assert (last.chunk_position, last.response_metadata["finish_reason"]) == ("last", "stop")


def test_a_tool_call_arrives_in_pieces() -> None:
    """Consumers that act on a half-read call are a known bug; a fake that streams whole calls would hide it."""
    stream = list(ScriptedChatModel([calls("search", {"query": "red kites"}, id="c1")]).stream("x"))
    parts = [part for chunk in stream for part in chunk.tool_call_chunks]
    assert (parts[0]["name"], parts[0]["id"], parts[0]["args"]) == ("search", "c1", "")
    assert len(parts) > 2
    assert json.loads("".join(part["args"] or "" for part in parts)) == {"query": "red kites"}


def test_a_cut_stream_delivers_some_chunks_and_raises() -> None:
    """Tokens that were delivered are billed although the call failed."""
    model = ScriptedChatModel([fails(ConnectionError("reset"), after=2, text="one two three four")])
    stream = model.stream("x")
    assert [next(stream).text, next(stream).text] == ["one ", "two "]
    with pytest.raises(ConnectionError, match="reset"):
        next(stream)


async def test_a_cut_stream_raises_in_async_and_in_plain_calls_too() -> None:
    """A connection that breaks in the middle breaks for everybody; also when the text was shorter than the cut."""
    model = ScriptedChatModel([fails(ConnectionError("reset"), after=9, text="one")], repeat_last=True)
    with pytest.raises(ConnectionError):
        model.invoke("x")
    with pytest.raises(ConnectionError):
        await model.ainvoke("x")
    with pytest.raises(ConnectionError):
        [_ async for _ in model.astream("x")]
    assert model.call_count == 3


def test_usage_is_counted_from_the_texts_unless_the_script_says_otherwise() -> None:
    """An honest default: longer conversations cost more, tools count, and the arithmetic fits in a head."""

    @tool
    def search(query: str) -> str:
        """Look something up."""
        return query

    model = ScriptedChatModel(["x" * 9, "x" * 9])
    plain = model.invoke([HumanMessage("y" * 40), AIMessage("z" * 1)]).usage_metadata
    assert plain == {"input_tokens": 11 + 2 * 3, "output_tokens": 3, "total_tokens": 20}
    offered = len(json.dumps([convert_to_openai_tool(search)]))
    with_tools = model.bind_tools([search]).invoke([HumanMessage("y")]).usage_metadata
    assert with_tools is not None
    assert with_tools["input_tokens"] == -(-(1 + offered) // 4) + 3


def test_called_tools_count_on_both_sides() -> None:
    """Arguments are output when they are written, and input in every later call."""
    model = ScriptedChatModel([calls("search", {"query": "x" * 100}), "done"])
    answer = model.invoke("q")
    second = model.invoke([HumanMessage("q"), answer]).usage_metadata
    assert answer.usage_metadata is not None
    assert second is not None
    assert answer.usage_metadata["output_tokens"] > 25
    assert second["input_tokens"] > 25


def test_a_script_reports_the_usage_it_wants() -> None:
    """Prices are tested with given figures: a pair, a full dict, or a provider that reports none."""
    details = {"input_token_details": {"cache_read": 80}, "output_token_details": {"reasoning": 3}}
    model = ScriptedChatModel(
        [
            says("a", usage=(100, 5)),
            says("b", usage={"input_tokens": 100, "output_tokens": 5, **details}),
            says("c", usage=None),
            AIMessage("d", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        ]
    )
    assert [model.invoke("x").usage_metadata for _ in range(4)] == [
        {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105},
        {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105, **details},
        None,
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ]


@pytest.mark.parametrize("where", ["field", "call", "bind"])
def test_a_cap_cuts_the_answer_wherever_it_was_set(where: str) -> None:
    """The hard bound of a budget rests on max_tokens; the fake keeps it as the provider does."""
    model = ScriptedChatModel(["x" * 100], max_tokens=5 if where == "field" else None)
    bound = model.bind(max_tokens=5) if where == "bind" else model
    answer = bound.invoke("hi", max_tokens=5) if where == "call" else bound.invoke("hi")
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("x" * 20, "length")
    assert answer.usage_metadata == {"input_tokens": 4, "output_tokens": 5, "total_tokens": 9}
    assert model.calls[0].max_tokens == 5


def test_a_cap_per_call_goes_before_the_models_own() -> None:
    """A guard lowers the cap for one call and leaves the model alone."""
    model = ScriptedChatModel(["x" * 100] * 2, max_tokens=20)
    assert [len(model.invoke("hi", max_tokens=5).text), len(model.invoke("hi").text)] == [20, 80]


def test_an_answer_that_fits_the_cap_is_left_alone() -> None:
    """An off-by-one here would end healthy runs with 'length'."""
    answer = ScriptedChatModel(["x" * 20], max_tokens=5).invoke("hi")
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("x" * 20, "stop")


def test_a_reported_output_above_the_cap_is_cut_in_all_its_parts() -> None:
    """Reasoning tokens are part of the output: a detail above its total would be priced twice."""
    usage = {"input_tokens": 10, "output_tokens": 500, "output_token_details": {"reasoning": 400}}
    answer = ScriptedChatModel([says("short", usage=usage)], max_tokens=50).invoke("hi")
    assert answer.usage_metadata == {
        "input_tokens": 10,
        "output_tokens": 50,
        "total_tokens": 60,
        "output_token_details": {"reasoning": 50},
    }


def test_a_cut_answer_calls_no_tool() -> None:
    """Half-written arguments cannot be run."""
    answer = ScriptedChatModel([calls("search", {"query": "x" * 100})], max_tokens=3).invoke("hi")
    assert (answer.tool_calls, answer.response_metadata["finish_reason"]) == ([], "length")


def test_an_unreported_answer_is_cut_as_well() -> None:
    """A provider that keeps silent about usage still keeps the cap."""
    answer = ScriptedChatModel([says("x" * 100, usage=None)], max_tokens=5).invoke("hi")
    assert (answer.text, answer.usage_metadata) == ("x" * 20, None)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "9"])
def test_a_cap_below_one_token_is_refused_as_providers_do(cap: Any) -> None:
    """A guard that shrinks a cap to nothing should not have made the call."""
    with pytest.raises(ConfigError, match="max_tokens"):
        ScriptedChatModel(["a"], max_tokens=cap)
    with pytest.raises(ConfigError, match="max_tokens"):
        ScriptedChatModel(["a"]).invoke("x", max_tokens=cap)


def test_metadata_look_like_a_providers() -> None:
    """Prices are found by model and provider; a snapshot's name comes from the answer, not from the request."""
    model = ScriptedChatModel(["a", calls("t"), Reply("c", model_name="m-2026")], model_name="m", provider="anthropic")
    answers = [model.invoke("x"), model.invoke("x"), model.invoke("x")]
    assert answers[0].response_metadata == {"model_name": "m", "model_provider": "anthropic", "finish_reason": "stop"}
    assert answers[1].response_metadata["finish_reason"] == "tool_calls"
    assert answers[2].response_metadata["model_name"] == "m-2026"


def test_callbacks_learn_model_provider_settings_and_usage() -> None:
    """Meters and tracers that sit on callbacks see what they would see of a real model, streamed or not."""
    seen: list[tuple[Any, ...]] = []

    class Listener(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            params, told = kwargs["invocation_params"], kwargs["metadata"]
            seen.append((params["model"], params["max_tokens"], told["ls_provider"], told["ls_model_name"]))

        def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
            message: Any = response.generations[0][0].message  # type: ignore[union-attr]
            seen.append((message.usage_metadata["output_tokens"], message.response_metadata["model_name"]))

    model = ScriptedChatModel([says("a b", usage=(1, 2))] * 2, model_name="m", provider="p", max_tokens=50)
    model.invoke("x", {"callbacks": [Listener()]})
    list(model.stream("x", {"callbacks": [Listener()]}))
    assert seen == [("m", 50, "p", "m"), (2, "m")] * 2


def test_a_delay_passes_on_the_clock_before_the_answer() -> None:
    """Slow answers are tested without slow tests; a stream waits before its first chunk."""
    clock = FakeClock(0)
    model = ScriptedChatModel([says("a", delay=30), says("b", delay=12), "c"], clock=clock)
    model.invoke("x")
    stream = model.stream("x")
    next(stream)
    assert clock.slept == [30, 12]


async def test_a_delay_passes_on_the_clock_in_async_calls_too() -> None:
    """The async drivers wait through another method of the clock."""
    clock = FakeClock(0)
    model = ScriptedChatModel([says("a", delay=30), says("b", delay=12)], clock=clock)
    await model.ainvoke("x")
    [_ async for _ in model.astream("x")]
    assert clock.slept == [30, 12]


async def test_a_timeout_shorter_than_the_delay_ends_the_call_when_it_is_over() -> None:
    """The request was sent: the caller gave up after the timeout, and the reply is spent."""
    clock = FakeClock(0)
    model = ScriptedChatModel([says("late", delay=60)] * 3 + ["next"], clock=clock)
    with pytest.raises(TimeoutError, match="2"):
        model.invoke("x", timeout=2)
    with pytest.raises(TimeoutError):
        await model.ainvoke("x", timeout=3)
    with pytest.raises(TimeoutError):
        list(model.stream("x", timeout=4))
    assert clock.slept == [2, 3, 4]
    assert model.invoke("x", timeout=1).text == "next"


def test_an_answer_within_the_timeout_arrives() -> None:
    """Exactly at the limit is in time."""
    model = ScriptedChatModel([says("just", delay=5)], clock=FakeClock(0))
    assert model.invoke("x", timeout=5).text == "just"


def test_an_error_may_take_its_time() -> None:
    """A slow failure counts as slow for a breaker and as spent for a deadline."""
    clock = FakeClock(0)
    with pytest.raises(ConnectionError):
        ScriptedChatModel([fails(ConnectionError, delay=9)], clock=clock).invoke("x")
    assert clock.slept == [9]


async def test_async_calls_let_others_run_as_a_request_would() -> None:
    """Races between tasks only show when the model's call suspends; a fake that never does hides them."""
    model = ScriptedChatModel([str(number) for number in range(4)])
    order: list[str] = []

    async def worker(name: str) -> None:
        order.append(f"{name} asks")
        await model.ainvoke("x")
        order.append(f"{name} has it")

    await asyncio.gather(worker("a"), worker("b"))
    assert order[:2] == ["a asks", "b asks"]


async def test_two_async_streams_take_turns() -> None:
    """A cancellation lands between two chunks of a real stream, and so it must here."""
    model = ScriptedChatModel(["one two", "uno due"])
    heard: list[str] = []

    async def listen() -> None:
        async for chunk in model.astream("x"):
            heard.append(chunk.text)  # noqa: PERF401  # both listeners write as they hear

    await asyncio.gather(listen(), listen())
    assert heard[:4] == ["one ", "uno ", "two", "due"]


async def test_two_hundred_tasks_each_get_a_reply_of_their_own() -> None:
    """The async side of the concurrency promise."""
    model = ScriptedChatModel([str(number) for number in range(200)])
    answers = await asyncio.gather(*(model.ainvoke("x") for _ in range(200)))
    assert {answer.text for answer in answers} == {str(number) for number in range(200)}


def test_trimming_counts_with_the_model_and_downloads_nothing() -> None:
    """trim_messages(token_counter=model) would otherwise ask for a tokenizer from the network."""
    messages = [HumanMessage("x" * 400), HumanMessage("y" * 4)]
    kept = trim_messages(messages, max_tokens=10, token_counter=ScriptedChatModel([]))
    assert [message.text for message in kept] == ["yyyy"]
