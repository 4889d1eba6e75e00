"""What a script may say, and what is refused while the test is being written."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError

from langgraph_guard.errors import ConfigError
from langgraph_guard.testing import Reply, ScriptedChatModel, ScriptExhausted, calls, fails, says


@tool
def search(query: str) -> str:
    """Look something up."""
    return query


def test_replies_come_in_the_order_of_the_script() -> None:
    """A text, a Reply and a message are all replies; the order is the test's story."""
    model = ScriptedChatModel(["one", says("two"), AIMessage("three")])
    assert [model.invoke("go").text for _ in range(3)] == ["one", "two", "three"]


def test_a_script_may_be_a_function_of_the_messages() -> None:
    """Agents that loop need a model that reacts to what it reads."""

    def echo(messages: list[BaseMessage]) -> str:
        return f"you said {messages[-1].text}"

    assert ScriptedChatModel(echo).invoke("kites").text == "you said kites"


def test_a_call_behind_the_last_reply_fails_and_says_how_many_there_were() -> None:
    """An agent that calls once too often is what many tests look for; it must not pass as an empty answer."""
    model = ScriptedChatModel(["only"])
    model.invoke("1")
    with pytest.raises(AssertionError, match="call 2 came, and the script has 1 replies"):
        model.invoke("2")


def test_an_exhausted_script_is_not_retried_by_langgraph() -> None:
    """LangGraph's default policy retries what is no RuntimeError; a failed test would first back off for seconds."""
    assert issubclass(ScriptExhausted, RuntimeError)


def test_cycle_starts_again_and_repeat_last_stays() -> None:
    """A looping agent needs a script without an end."""
    cycling = ScriptedChatModel(["a", "b"], cycle=True)
    staying = ScriptedChatModel(["a", "b"], repeat_last=True)
    assert [cycling.invoke("x").text for _ in range(5)] == ["a", "b", "a", "b", "a"]
    assert [staying.invoke("x").text for _ in range(4)] == ["a", "b", "b", "b"]


@pytest.mark.parametrize("error", [ValueError("no"), ValueError, fails(ValueError("no"))])
def test_an_exception_in_the_script_is_raised(error: Any) -> None:
    """Instance, class or helper: providers fail between two good answers."""
    model = ScriptedChatModel([error, "fine"])
    with pytest.raises(ValueError, match=r"no|^$"):
        model.invoke("x")
    assert model.invoke("x").text == "fine"


def test_a_keyboard_interrupt_can_be_scripted() -> None:
    """Ctrl-C between reserve and settle is a promise of the budget guard; a script must be able to press it."""
    with pytest.raises(KeyboardInterrupt):
        ScriptedChatModel([KeyboardInterrupt]).invoke("x")


def test_a_repeated_error_does_not_collect_tracebacks() -> None:
    """Ten thousand raises of one instance would otherwise keep every frame alive."""
    error = ValueError("no")
    model = ScriptedChatModel([error], repeat_last=True)

    def depth() -> int:
        with pytest.raises(ValueError, match="no"):
            model.invoke("x")
        frames, trace = 0, error.__traceback__
        while trace:
            frames, trace = frames + 1, trace.tb_next
        return frames

    assert depth() == depth()


def test_retries_draw_the_next_reply() -> None:
    """LangChain's own with_retry must meet the failure once and the answer after it."""
    model = ScriptedChatModel([ConnectionError("reset"), "fine"])
    patient = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert (patient.invoke("x").text, model.call_count) == ("fine", 2)


def test_a_helper_builds_a_tool_call_with_a_fresh_id_each_time() -> None:
    """Tool results are matched by id: a repeated id would let one result answer two calls."""
    model = ScriptedChatModel([calls("search", {"query": "kites"})], repeat_last=True)
    first, second = model.invoke("x").tool_calls[0], model.invoke("x").tool_calls[0]
    assert (first["name"], first["args"]) == ("search", {"query": "kites"})
    assert first["id"]
    assert first["id"] != second["id"]


def test_ids_that_the_script_gives_are_kept() -> None:
    """A test about identity writes its own ids, for calls and for messages."""
    reply = AIMessage("", id="m1", tool_calls=[{"name": "search", "args": {}, "id": "c1"}])
    got = ScriptedChatModel([reply]).invoke("x")
    assert (got.id, got.tool_calls[0]["id"]) == ("m1", "c1")
    assert ScriptedChatModel([calls("search", id="c2")]).invoke("x").tool_calls[0]["id"] == "c2"


def test_several_calls_in_one_reply_have_ids_of_their_own() -> None:
    """Parallel tool calls are the normal case of current models."""
    reply = Reply(tool_calls=[("search", {"query": "a"}), {"name": "search", "args": {"query": "b"}, "id": None}])
    first, second = ScriptedChatModel([reply]).invoke("x").tool_calls
    assert [first["args"], second["args"]] == [{"query": "a"}, {"query": "b"}]
    assert first["id"] != second["id"]


def test_two_models_never_give_the_same_message_id() -> None:
    """add_messages overwrites by id: a second model, or the same one in the next process, would erase history."""
    one, two = ScriptedChatModel(["a"]), ScriptedChatModel(["a"])
    assert one.invoke("x").id != two.invoke("x").id


def test_ids_are_reproducible_with_a_prefix() -> None:
    """Snapshots and replays compare ids; nobody should have to patch uuid."""
    model = ScriptedChatModel(["a", calls("search")], id_prefix="scripted")
    first, second = model.invoke("x"), model.invoke("x")
    assert [first.id, second.id] == ["scripted-1", "scripted-2"]
    assert second.tool_calls[0]["id"] == "call-scripted-2-1"


def test_what_a_graph_does_to_a_message_does_not_reach_the_script() -> None:
    """Reducers set ids and trim contents in place; the next round of a cycle must start clean."""
    written = AIMessage([{"type": "text", "text": "hello"}])
    model = ScriptedChatModel([written], repeat_last=True)
    got = model.invoke("x")
    got.content[0]["text"] = "changed"  # type: ignore[index]
    assert (model.invoke("x").text, written.id) == ("hello", None)


def test_bindings_and_copies_share_one_position_and_one_record() -> None:
    """Nodes bind tools and caps each in their own way; the story told by the script is one."""
    model = ScriptedChatModel(["1", "2", "3", "4", "5"])
    versions = [
        model,
        model.bind_tools([search]),
        model.model_copy(),
        copy.deepcopy(model),
        model.configurable_fields(max_tokens=ConfigurableField("cap")).with_config(configurable={"cap": 9}),
    ]
    assert [version.invoke("x").text for version in versions] == ["1", "2", "3", "4", "5"]
    assert model.call_count == 5
    assert model.calls[4].max_tokens == 9


def test_a_record_holds_what_was_sent() -> None:
    """Tests of a guard assert what reached the provider: messages, tools, caps, timeouts."""
    model = ScriptedChatModel(["ok"])
    model.bind_tools([search], tool_choice="any").invoke([HumanMessage("hi")], max_tokens=7, timeout=3, stop=["."])
    (call,) = model.calls
    assert (call.number, [message.text for message in call.messages]) == (1, ["hi"])
    assert (call.tools, call.max_tokens) == (["search"], 7)
    assert {key: call.kwargs[key] for key in ("timeout", "stop", "tool_choice")} == {
        "timeout": 3,
        "stop": ["."],
        "tool_choice": "any",
    }


def test_failed_calls_are_recorded_too() -> None:
    """An attempt that failed may be billed: the count of attempts is what a ledger is held against."""
    model = ScriptedChatModel([])
    with pytest.raises(ScriptExhausted):
        model.invoke("x")
    assert model.call_count == 1


def test_sixty_four_threads_draw_sixty_four_different_replies() -> None:
    """A reply that two workers got, or none, would make every concurrency test lie."""
    texts = [str(number) for number in range(64)]
    model = ScriptedChatModel(texts)
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: model.invoke("x"), range(64)))
    assert sorted(answer.text for answer in answers) == sorted(texts)
    assert len({answer.id for answer in answers}) == 64
    assert sorted(call.number for call in model.calls) == list(range(1, 65))


def test_structured_output_comes_from_a_scripted_tool_call() -> None:
    """Routers and judges use with_structured_output; the base class builds it on bind_tools."""

    class Verdict(BaseModel):
        """A verdict."""

        good: bool

    judge = ScriptedChatModel([calls("Verdict", {"good": True})]).with_structured_output(Verdict)
    assert judge.invoke("x") == Verdict(good=True)


@pytest.mark.parametrize("script", ["hello", b"hello", 5, None, [{"text": "a dict"}], [says("fine"), 7], [int]])
def test_a_script_that_is_none_is_refused_at_once(script: Any) -> None:
    """A bare str would be played letter by letter; a wrong item would fail in the tenth superstep."""
    with pytest.raises(ConfigError, match="script"):
        ScriptedChatModel(script)


@pytest.mark.parametrize("repeat", [{"cycle": True}, {"repeat_last": True}])
def test_nothing_cannot_be_repeated(repeat: dict[str, Any]) -> None:
    """An empty script says 'must not be called'; together with a repetition it says nothing."""
    with pytest.raises(ConfigError, match="no reply to repeat"):
        ScriptedChatModel([], **repeat)


def test_cycle_and_repeat_last_exclude_each_other() -> None:
    """Silently preferring one would play another story than the test's author sees."""
    with pytest.raises(ConfigError, match="choose one"):
        ScriptedChatModel(["a"], cycle=True, repeat_last=True)


def test_an_unknown_setting_is_refused() -> None:
    """`model=` for `model_name=` would leave the default's price in a budget test."""
    with pytest.raises(ValidationError, match="model"):
        ScriptedChatModel(["a"], model="gpt-4o")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"delay": -1}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"delay": "1"}, "delay"),
        ({"error_after": 1}, "error_after"),
        ({"error": ValueError(), "error_after": -1}, "error_after"),
        ({"usage": {"input_tokens": 1}}, "usage"),
        ({"usage": "none"}, "usage"),
        ({"tool_calls": ["search"]}, "tool_calls"),
        ({"text": "a", "message": AIMessage("b")}, "message"),
    ],
)
def test_a_reply_that_cannot_be_given_is_refused_where_it_is_written(wrong: dict[str, Any], field: str) -> None:
    """A mistake in a test's script should point at the script."""
    with pytest.raises(ConfigError, match=field):
        Reply(**wrong)
