"""Exceptions as results: the right kind for each, and nothing that a model, a log or an attacker should not read."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import json
import socket
import subprocess
import traceback
from typing import Any

import anthropic
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core import exceptions as of_langchain
from langchain_core.tools import ToolException, tool
from langgraph.prebuilt.tool_node import ToolInvocationError
from pydantic import BaseModel, ValidationError

from langgraph_guard import errors
from langgraph_guard.errors import BudgetExceeded, BudgetUnavailable, CircuitOpen
from langgraph_guard.tools.results.failures import DEEPEST, failure_of
from langgraph_guard.tools.results.result import ToolResult

SECRET = "hunter2-do-not-show"
ASKED: Any = httpx.Request("GET", f"http://x/?token={SECRET}")


class Order(BaseModel):
    id: int
    note: str


def invalid() -> ValidationError:
    """Two problems, one with a secret in it."""
    with pytest.raises(ValidationError) as caught:
        Order(id=SECRET)  # type: ignore[arg-type, call-arg]
    return caught.value


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    """`raise error from cause`."""
    error.__cause__ = cause
    return error


def answered(status: int, **headers: str) -> Any:
    """An answer to a request with a secret in it."""
    return httpx.Response(status, headers=headers, request=ASKED)


def kind(error: BaseException) -> tuple[str | None, bool]:
    """What matters most of a result."""
    result = ToolResult.from_exception(error)
    return result.error_type, result.retry_safe


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "timeout"),
        (concurrent.futures.TimeoutError(), "timeout"),
        (OSError(errno.ETIMEDOUT, "timed out"), "timeout"),
        (subprocess.TimeoutExpired("cmd", 1), "timeout"),
        (openai.APITimeoutError(ASKED), "timeout"),
        (anthropic.APITimeoutError(ASKED), "timeout"),
        (of_langchain.ModelTimeoutError(), "timeout"),
        (ConnectionRefusedError(), "transient"),
        (ConnectionResetError(), "transient"),
        (BrokenPipeError(), "transient"),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "transient"),
        (OSError(errno.ENETUNREACH, "unreachable"), "transient"),
        (BlockingIOError(errno.EAGAIN, "again"), "transient"),
        (http.client.IncompleteRead(b""), "transient"),
        (openai.APIConnectionError(request=ASKED), "transient"),
        (of_langchain.ModelConnectionError(), "transient"),
        (of_langchain.ModelAPIError(), "transient"),
        (openai.InternalServerError("no", response=answered(500), body=None), "transient"),
        (of_langchain.ModelRateLimitError(), "rate_limit"),
        (openai.RateLimitError("no", response=answered(429), body=None), "rate_limit"),
        (anthropic.RateLimitError("no", response=answered(429), body=None), "rate_limit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_what_may_be_over_soon_may_be_tried_again(error: BaseException, expected: str) -> None:
    """As far as the error tells: the contract has the last word."""
    assert kind(error) == (expected, True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x"), "permanent"),
        (KeyError("x"), "permanent"),
        (FileNotFoundError(2, "x"), "permanent"),
        (PermissionError(13, "x"), "permanent"),
        (OSError(errno.ENOSPC, "full"), "permanent"),
        (RecursionError(), "permanent"),
        (SystemExit(500), "permanent"),
        (KeyboardInterrupt(), "permanent"),
        (asyncio.CancelledError(), "transient"),
        (openai.AuthenticationError("no", response=answered(401), body=None), "permanent"),
        (openai.NotFoundError("no", response=answered(404), body=None), "permanent"),
        (
            openai.RateLimitError("no", response=answered(429), body={"code": "insufficient_quota"}),
            "permanent",
        ),
        (of_langchain.ModelAuthenticationError(), "permanent"),
        (of_langchain.ModelPermissionDeniedError(), "permanent"),
        (of_langchain.ModelNotFoundError(), "permanent"),
        (of_langchain.ModelInvalidRequestError(), "permanent"),
        (of_langchain.ContextOverflowError(), "validation"),
        (invalid(), "validation"),
        (ToolException("x"), "permanent"),
        (BudgetExceeded("usd", "user", 5, 4, 0, 2), "denied"),
        (BudgetUnavailable("redis", 1.0), "denied"),
        (errors.ConfigError("x", "y"), "permanent"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_what_stays_as_it_is_is_not_tried_again(error: BaseException, expected: str) -> None:
    """Repeating these is the loop that costs $847."""
    assert kind(error) == (expected, False)


def test_every_error_of_ours_says_that_the_call_was_refused() -> None:
    """A guard that stands in the way is no failure of the tool, and repeating the call changes nothing."""
    assert ToolResult.from_exception(BudgetExceeded("usd", "user", 5, 4, 0, 2, "day", 60.0)).retry_after == 60.0


def test_an_open_circuit_says_when_to_come_back() -> None:
    """The breaker knows; the model must."""
    result = ToolResult.from_exception(CircuitOpen("search", "open", 12.5))
    assert (result.error_type, result.retry_safe, result.retry_after, result.message) == (
        "circuit_open",
        False,
        12.5,
        "the circuit of 'search' is open: no call is made for another 13 s",
    )


def test_a_contract_that_forbids_repetition_has_the_last_word() -> None:
    """A payment that timed out may have been made."""
    result = ToolResult.from_exception(TimeoutError(), may_retry=False)
    assert (result.retry_safe, "Do not call it again" in result.next) == (False, True)


# Causes and groups


def test_an_error_counts_as_what_it_was_raised_from() -> None:
    """Tools wrap: `raise RuntimeError("lookup failed") from error`."""
    assert kind(raised_from(RuntimeError("lookup failed"), TimeoutError())) == ("timeout", True)


def test_what_an_error_was_raised_during_proves_nothing() -> None:
    """After a time-out that was handled, a bug in the handler is a bug."""
    with pytest.raises(KeyError) as caught:
        try:
            raise TimeoutError
        except TimeoutError:
            dict[str, int]()["x"]
    assert kind(caught.value) == ("permanent", False)


def test_causes_in_a_circle_end() -> None:
    """Libraries that re-raise cached exceptions make these."""
    first, second = RuntimeError("a"), RuntimeError("b")
    raised_from(first, second)
    raised_from(second, first)
    assert kind(first) == ("permanent", False)


def test_a_chain_without_end_is_left_after_a_while() -> None:
    """Ten thousand causes are not worth ten thousand looks."""
    error: BaseException = TimeoutError()
    for _ in range(DEEPEST):
        error = raised_from(RuntimeError(), error)
    assert kind(error) == ("permanent", False)


def test_of_a_group_the_worst_counts() -> None:
    """A repetition would repeat all of it."""
    group = ExceptionGroup("x", [TimeoutError(), ExceptionGroup("y", [ValueError(SECRET)]), ConnectionError()])
    result = ToolResult.from_exception(group)
    assert (result.error_type, result.message) == ("permanent", "The tool failed (ValueError).")


def test_a_group_is_as_safe_as_its_least_safe_member_and_waits_for_the_last() -> None:
    """Two refusals with different patience: coming back after the shorter one is too early."""
    limits = [openai.RateLimitError("", response=answered(429, **{"retry-after": after}), body=None) for after in "59"]
    result = ToolResult.from_exception(BaseExceptionGroup("x", [*limits, asyncio.CancelledError()]))
    assert (result.error_type, result.retry_safe, result.retry_after) == ("transient", False, 9.0)


def test_a_group_of_thousands_is_looked_at_in_part() -> None:
    """`gather` over a big list fails in a big group."""
    assert kind(ExceptionGroup("x", [TimeoutError()] * 10_000)) == ("timeout", True)


# What may be read


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"password {SECRET}"),
        OSError(2, "x", f"/home/{SECRET}"),
        openai.BadRequestError(SECRET, response=answered(400, Authorization=SECRET), body={"message": SECRET}),
        of_langchain.ModelAPIError(SECRET),
        subprocess.TimeoutExpired(["curl", "-H", SECRET], 1, output=SECRET.encode()),
        invalid(),
        ToolInvocationError("pay", invalid(), {"card": SECRET}),
        ToolException(f"GET https://user:{SECRET}@api.example.com/v1?token={SECRET} failed"),
        ToolException(f"refused; Authorization: Bearer {SECRET}"),
        ToolException(f"login failed with password={SECRET}"),
        ToolException(f"login failed with pass\u200bword={SECRET}"),
        ToolException(f"bad key sk-{SECRET}"),
        ToolException(f'{{"authorization": "Bearer {SECRET}"}}'),
        ToolException(f"{{'api_key': '{SECRET}'}}"),
        ToolException(f"Set-Cookie: a=b; session={SECRET}"),
        ToolException(f"postgresql://app:{SECRET}@db:5432/orders is down"),
        ToolException(f"GET /v1/orders?access_token={SECRET} gave 500"),
        ToolException(f"no: Traceback (most recent call last):\n  File x, line 1\n{SECRET}"),
    ],
    ids=lambda error: f"{type(error).__name__}-{str(error)[:12]}",
)
def test_secrets_and_contents_stay_out_of_what_the_model_reads(error: BaseException) -> None:
    """What a model has read, it may repeat to whoever asks."""
    message = ToolResult.from_exception(error).message
    assert (SECRET in message, "Traceback" in message, len(message) <= 300) == (False, False, True)


def test_a_tool_exception_s_words_are_for_the_model() -> None:
    """It is LangChain's way for a tool to say what is wrong."""
    assert ToolResult.from_exception(ToolException("No order 17.\nAsk for the number.")).message == (
        "No order 17. Ask for the number."
    )


@pytest.mark.parametrize(
    "text",
    [
        "Unknown key: order_id",
        "The token is expired; ask the user to log in again.",
        "Authorization failed for order 17.",
        "See basic information first.",
        "Really? Yes.",
        "pk_order is no column",
    ],
)
def test_words_that_only_sound_like_secrets_stay(text: str) -> None:
    """A model that reads "<hidden>" cannot correct anything."""
    assert ToolResult.from_exception(ToolException(text)).message == text


def test_a_tool_exception_keeps_its_words_and_has_the_kind_of_its_cause() -> None:
    """The words are better than ours, the cause knows whether to try again."""
    result = ToolResult.from_exception(raised_from(ToolException("The archive is asleep."), TimeoutError()))
    assert (result.error_type, result.retry_safe, result.message) == ("timeout", True, "The archive is asleep.")


def test_wrong_arguments_are_named_without_their_values() -> None:
    """The model corrects what it is told, and the values may be somebody's."""
    assert ToolResult.from_exception(invalid()).message == (
        "Not valid: id: Input should be a valid integer, unable to parse string as an integer; note: Field required"
    )


def test_a_tool_node_s_complaint_is_told_without_the_arguments() -> None:
    """LangGraph's own text quotes all of them back."""

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    with pytest.raises(ValidationError) as caught:
        pay.invoke({"amount": SECRET})
    filtered: Any = [{"loc": ("amount",), "msg": "Input should be a valid integer"}]
    error = ToolInvocationError("pay", caught.value, {"amount": SECRET}, filtered)
    assert ToolResult.from_exception(error).message == "Not valid: amount: Input should be a valid integer"


def test_many_problems_are_told_in_part() -> None:
    """A model corrects a few things at once, not fifty."""
    with pytest.raises(ValidationError) as caught:
        Many(**{f"field_{n}": "x" for n in range(9)})  # type: ignore[arg-type]
    assert ToolResult.from_exception(caught.value).message.startswith("Not valid in 9 places: field_0: ")


class Many(BaseModel):
    """Nine fields."""

    field_0: int
    field_1: int
    field_2: int
    field_3: int
    field_4: int
    field_5: int
    field_6: int
    field_7: int
    field_8: int


# Exceptions that fight back


class Hostile(Exception):
    """Raises whenever somebody looks."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__

    @property
    def status_code(self) -> int:
        raise RuntimeError(SECRET)

    @property
    def response(self) -> object:
        raise RuntimeError(SECRET)


class HostileToolException(ToolException, Hostile):
    """The one whose text would be shown."""


class Endless(Exception):
    """Answers every question with itself."""

    def __getattr__(self, name: str) -> Endless:
        return self

    def __call__(self, *args: object, **kwargs: object) -> Endless:
        return self


@pytest.mark.parametrize("error", [Hostile(), HostileToolException(), Endless(), ExceptionGroup("x", [Hostile()])])
def test_an_exception_that_raises_when_it_is_looked_at_is_a_failure_like_others(error: Exception) -> None:
    """What goes wrong while an error is told hides the error."""
    result = ToolResult.from_exception(error)
    assert (result.error_type, SECRET in result.render()) == ("permanent", False)


def test_a_class_name_is_somebody_s_text_as_well() -> None:
    """Exceptions are made at run time by remote-call libraries, with names from the other side."""
    named = type("A\u202eB\nTraceback (most recent call last): x" * 50, (Exception,), {})
    message = ToolResult.from_exception(named()).message
    assert (message.isprintable(), len(message) < 100, "Traceback" in message) == (True, True, False)


@pytest.mark.parametrize("status", [True, "429", 99, 600, 4.29, None])
def test_a_status_that_is_none_is_not_believed(status: object) -> None:
    """Attributes of strangers have strange values."""
    error = RuntimeError("x")
    error.status_code = status  # type: ignore[attr-defined]
    assert kind(error) == ("permanent", False)


@pytest.mark.parametrize(
    ("module", "field"), [("aiohttp.client_exceptions", "status"), ("google.api_core.exceptions", "code")]
)
def test_clients_that_keep_the_status_elsewhere_are_understood(module: str, field: str) -> None:
    """aiohttp and Google's clients are what many tools are made of."""
    error = type("ClientError", (Exception,), {"__module__": module, field: 429, "headers": {"Retry-After": "3"}})()
    assert (failure_of(error).error_type, failure_of(error).retry_after) == ("rate_limit", 3.0)


def test_the_status_of_an_aws_error_is_understood() -> None:
    """botocore keeps it in a dict."""
    error = RuntimeError("x")
    error.response = {"ResponseMetadata": {"HTTPStatusCode": 503}}  # type: ignore[attr-defined]
    assert kind(error) == ("transient", True)


anything = st.one_of(
    st.text(), st.binary(), st.integers(), st.floats(), st.none(), st.dictionaries(st.text(), st.text())
)


@given(
    base=st.sampled_from([Exception, ToolException, OSError, TimeoutError, ValueError, KeyError]),
    args=st.lists(anything, max_size=4),
    attributes=st.dictionaries(
        st.sampled_from(["status_code", "response", "headers", "code", "reason", "errors", "retry_after", "source"]),
        anything,
    ),
    header=st.text(),
    now=st.none() | st.floats(),
)
def test_whatever_is_raised_is_told_and_nothing_else(
    base: type[Exception], args: list[Any], attributes: dict[str, Any], header: str, now: float | None
) -> None:
    """Never raises; never a traceback; never a header; never more than a few lines."""
    try:
        error = type("Strange", (base,), {})(*args)
    except UnicodeError:
        return
    for name, value in attributes.items():
        setattr(error, name, value)
    error.response = type("R", (), {"headers": {"retry-after": header, "authorization": SECRET}, "status_code": 429})()
    try:
        raise error
    except Exception as caught:
        told = ToolResult.from_exception(caught, now=now).render()
        lines = traceback.format_exc()
    assert "Traceback (most recent call last)" in lines
    assert json.loads(told)["status"] == "error"
    assert ("Traceback (most recent" in told, SECRET in told, len(told) < 1_000) == (False, False, True)


@given(st.text(max_size=400), st.sampled_from(["token=", "api_key: ", "Authorization: ", "https://x:", "Bearer "]))
def test_a_tool_exception_with_a_secret_in_it_is_told_without(text: str, label: str) -> None:
    """The text is the tool author's; the token in it came from somewhere else."""
    message = ToolResult.from_exception(ToolException(f"{text} {label}{SECRET}")).message
    assert (SECRET in message, len(message) <= 300) == (False, True)
