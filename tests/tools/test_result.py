"""`ToolResult`: what a tool says of a call, so that nobody has to guess."""

from __future__ import annotations

import copy
import pickle
from typing import Any, get_args

import pytest
import requests
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import ValidationError

from langgraph_guard.prices import ToolPrice
from langgraph_guard.tools.results.advice import ERROR_TYPES, ErrorType
from langgraph_guard.tools.results.result import ToolResult

LIMITED = ToolResult.error("rate_limit", "Too many requests.", retry_after=60)


def get_order_status(response: requests.Response | None) -> ToolResult:
    """The article's tool, as it stands there."""
    order_id = 17
    try:
        if response is None:
            raise requests.Timeout
        if response.status_code == 200:
            return ToolResult(status="success", data=response.json())
        elif response.status_code == 429:  # noqa: RET505 - the article's own words
            return ToolResult(
                status="error", error_type="rate_limit", retry_safe=True, message="Rate limit hit. Retry after 60s."
            )
        elif response.status_code >= 500:
            return ToolResult(
                status="error",
                error_type="transient",
                retry_safe=True,
                message=f"Server error: {response.status_code}",
            )
        else:
            return ToolResult(
                status="error",
                error_type="permanent",
                retry_safe=False,
                message=f"Order {order_id} not found or access denied.",
            )
    except requests.Timeout:
        return ToolResult(
            status="error",
            error_type="transient",
            retry_safe=True,
            message="Request timed out. Backend may be degraded.",
        )


@pytest.mark.parametrize(
    ("status", "kind", "safe"),
    [
        (200, None, False),
        (429, "rate_limit", True),
        (503, "transient", True),
        (404, "permanent", False),
        (None, "transient", True),
    ],
)
def test_the_article_s_own_tool_works(status: int | None, kind: str | None, safe: bool) -> None:
    """Who comes from there changes an import."""
    response = None
    if status is not None:
        response = requests.Response()
        response.status_code, response._content = status, b'{"state": "shipped"}'
    result = get_order_status(response)
    assert (result.ok, result.error_type, result.retry_safe) == (status == 200, kind, safe)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"status": "success", "error_type": "transient"}, "a success has no error_type"),
        ({"status": "success", "retry_safe": True}, "a success has no error_type"),
        ({"status": "success", "retry_after": 3}, "a success has no error_type"),
        ({"status": "error"}, "an error needs an error_type"),
        ({"status": "error", "error_type": "permanent", "retry_safe": True}, "it would fail again"),
        ({"status": "error", "error_type": "validation", "retry_safe": True}, "it would fail again"),
        ({"status": "error", "error_type": "denied", "retry_safe": True}, "it would fail again"),
        ({"status": "error", "error_type": "permanent", "retry_after": 3}, "says that it does not"),
        ({"status": "error", "error_type": "circuit_open", "retry_safe": True}, "needs a retry_after"),
        ({"status": "error", "error_type": "odd"}, "error_type"),
        ({"status": "pending"}, "status"),
        ({"status": "error", "error_type": "transient", "retry_after": -1}, "retry_after"),
        ({"status": "error", "error_type": "transient", "retry_after": float("nan")}, "retry_after"),
        ({"status": "error", "error_type": "transient", "retry_after": "60"}, "retry_after"),
        ({"status": "error", "error_type": "transient", "retry_safe": "yes"}, "retry_safe"),
        ({"status": "success", "message": 3}, "message"),
        ({"status": "success", "mesage": "x"}, "mesage"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(wrong: dict[str, Any], says: str) -> None:
    """A model that reads "permanent, safe to retry" retries."""
    with pytest.raises(ValidationError, match=says):
        ToolResult(**wrong)


def test_a_refusal_does_not_quote_the_data() -> None:
    """It ends in a log."""
    with pytest.raises(ValidationError) as caught:
        ToolResult(status="success", data="hunter2", error_type="transient")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ERROR_TYPES)
def test_without_a_word_about_it_only_what_may_pass_is_safe_to_repeat(kind: ErrorType) -> None:
    """The default is by the kind, so that a tool has to think of one thing less."""
    assert ToolResult.error(kind, "no").retry_safe == (kind in ("transient", "rate_limit", "timeout"))


def test_every_kind_of_failure_has_a_name_once() -> None:
    """Dashboards group by these words."""
    assert get_args(ErrorType) == (
        "transient",
        "permanent",
        "rate_limit",
        "validation",
        "timeout",
        "circuit_open",
        "denied",
    )


def test_a_contract_narrows_and_never_widens() -> None:
    """A tool that must not run twice stays so, whatever the error says; one that failed for good stays so as well."""
    failed = ToolResult.error("permanent", "no")
    assert (LIMITED.narrowed(False).retry_safe, LIMITED.narrowed(True), failed.narrowed(True)) == (
        False,
        LIMITED,
        failed,
    )


def test_a_result_is_a_value() -> None:
    """It is compared, copied to other processes and kept."""
    assert (pickle.loads(pickle.dumps(LIMITED)), copy.deepcopy(LIMITED)) == (LIMITED, LIMITED)


def test_a_result_does_not_change() -> None:
    """Who reads it later reads what the tool said."""
    with pytest.raises(ValidationError):
        LIMITED.retry_safe = False


def test_its_repr_leaves_the_data_out() -> None:
    """Reprs end in logs, and data may be somebody's."""
    assert "hunter2" not in repr(ToolResult.success("hunter2"))


# To a message and back


def test_the_artifact_is_whole_plain_and_says_its_version() -> None:
    """It is checkpointed: these bytes must be readable for ever."""
    assert LIMITED.to_message("call-1", "search").artifact == {
        "tool_result": 1,
        "status": "error",
        "error_type": "rate_limit",
        "retry_safe": True,
        "retry_after": 60.0,
        "message": "Too many requests.",
        "data": None,
    }


def test_a_message_answers_its_call() -> None:
    """Providers refuse an answer without the call's id."""
    message = LIMITED.to_message("call-1", "search")
    assert (message.tool_call_id, message.name, message.status, message.content) == (
        "call-1",
        "search",
        "error",
        LIMITED.render(),
    )


@pytest.mark.parametrize(
    "result",
    [
        LIMITED,
        ToolResult.success(),
        ToolResult.success({"rows": [1, 2.5, None, "é"]}, "two"),
        ToolResult.error("validation", "id: missing", data=["id"]),
        ToolResult.error("circuit_open", "off", retry_after=0.25),
    ],
)
def test_what_went_into_a_message_comes_out(result: ToolResult) -> None:
    """Guards, dashboards and the next turn read it there: from the artifact, from the text, from the message."""
    message = result.to_message("call-1")
    assert [ToolResult.parse(each) for each in (message, message.artifact, message.content, result)] == [result] * 4


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "shipped",
        "{",
        "[]",
        "3",
        "{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"status": "pending"}',
        '{"status": "error", "message": "no kind"}',
        '{"status": "success", "order": 17}',
        {"tool_result": 2, "status": "success"},
        {"tool_result": 1, "status": "success", "retry_safe": True},
        {"status": ["success"]},
        ["success"],
        b"{}",
        object(),
        ToolMessage("shipped", tool_call_id="1", artifact={"rows": 3}),
        ToolMessage("shipped", tool_call_id="1", artifact={"status": "success", "data": "of another library"}),
        ToolMessage([{"type": "text", "text": "x"}], tool_call_id="1"),
    ],
    ids=lambda value: "an object" if type(value) is object else str(value)[:30],
)
def test_what_is_no_result_is_none(value: object) -> None:
    """Tools answer with all sorts of things, and an API's own `status` is not ours."""
    assert ToolResult.parse(value) is None


def test_the_article_s_dict_is_a_result() -> None:
    """A tool that returns the shape by hand means it."""
    told = {"status": "error", "error_type": "transient", "retry_safe": True, "message": "..."}
    assert ToolResult.parse(told) == ToolResult.error("transient", "...")


def test_an_artifact_survives_a_strict_checkpointer() -> None:
    """Strict msgpack takes builtins, and integers of 64 bits."""
    odd = {"n": 2**70, "set": {3, 1}, "raw": b"\xff", "nan": float("nan"), 5: object(), "half": "\ud800"}
    artifact = ToolResult.success(odd).to_message("1").artifact
    serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    assert serde.loads_typed(serde.dumps_typed(artifact)) == artifact


def test_units_stand_where_a_price_looks_for_them() -> None:
    """A tool that is priced by the unit tells how many in its data, and the budget finds them."""
    price = ToolPrice("0", per_unit="0.01", most_units=10)
    assert price.used(ToolResult.success({"pages": ["…"], "units": 4}).to_message("1")) == 4


@pytest.mark.parametrize("data", [None, {"units": "4"}, {"units": True}, {"pages": 4}, [4]])
def test_units_that_are_none_are_not_told(data: object) -> None:
    """What cannot be read is charged as reserved, never as nothing."""
    assert "units" not in ToolResult.success(data).to_message("1").artifact


# Under LangChain alone


@tool
def lookup(order: int) -> ToolResult:
    """Look an order up."""
    return ToolResult.success({"order": order})


def test_a_tool_may_return_one_without_any_guard() -> None:
    """LangChain makes a text of it: ours, not Python's."""
    message = lookup.invoke({"name": "lookup", "args": {"order": 17}, "id": "1", "type": "tool_call"})
    assert (message.content, ToolResult.parse(message)) == (
        '{"status":"success","data":{"order":17}}',
        ToolResult.success({"order": 17}),
    )


def test_a_tool_node_passes_it_on() -> None:
    """The same in a graph."""
    asked = AIMessage("", tool_calls=[{"name": "lookup", "args": {"order": 17}, "id": "1"}])
    graph = StateGraph(MessagesState).add_node("tools", ToolNode([lookup])).set_entry_point("tools").compile()
    message = graph.invoke({"messages": [asked]})["messages"][-1]
    assert ToolResult.parse(message) == ToolResult.success({"order": 17})
