"""What the end of a call says about the service behind it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import socket
import ssl
from typing import Any

import httpx
import pytest
import requests
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.tools import ToolException
from langgraph.errors import GraphInterrupt, ParentCommand
from langgraph.types import Command
from pydantic import BaseModel, ValidationError

from langgraph_guard.errors import BudgetExceeded, CircuitOpen, StoreUnavailable
from langgraph_guard.policies.breaker import CANCELLED, FAILURE, IGNORED, SUCCESS, Outcome, rate_limited
from langgraph_guard.tools.breaker import outcome_of
from langgraph_guard.tools.results.result import ToolResult

NOW = 1_767_225_600.0  # Thu, 01 Jan 2026 00:00:00 GMT


def http(status: int, **headers: str) -> httpx.HTTPStatusError:
    """What `raise_for_status` raises."""
    request = httpx.Request("GET", "https://a.example")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, headers=named, request=request))


def of_requests(status: int, **headers: str) -> requests.HTTPError:
    """The same of requests."""
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.HTTPError(response=response)


def caused(error: Exception, by: BaseException) -> Exception:
    """`error`, raised from `by`."""
    error.__cause__ = by
    return error


def invalid() -> ValidationError:
    """Arguments of the wrong form."""

    class Arguments(BaseModel):
        n: int

    with pytest.raises(ValidationError) as caught:
        Arguments(n="x")  # type: ignore[arg-type]
    return caught.value


ENDS: dict[str, tuple[Any, Outcome]] = {
    # No failure at all
    "an interrupt": (GraphInterrupt(()), CANCELLED),
    "a command for the parent": (ParentCommand(Command()), CANCELLED),
    "cancelled": (asyncio.CancelledError(), CANCELLED),
    "a cancelled future": (concurrent.futures.CancelledError(), CANCELLED),
    "ctrl-c": (KeyboardInterrupt(), CANCELLED),
    "exit": (SystemExit(), CANCELLED),
    "a denial": (BudgetExceeded("usd", "user", 1, 1, 0, 1), CANCELLED),
    "another circuit": (CircuitOpen("other", "open", 1.0), CANCELLED),
    "a store": (StoreUnavailable("redis", "put", 1.0), CANCELLED),
    "an interrupt in a group": (ExceptionGroup("g", [TimeoutError(), GraphInterrupt(())]), CANCELLED),
    # No answer
    "a time-out": (TimeoutError(), FAILURE),
    "httpx time-out": (httpx.ReadTimeout("t"), FAILURE),
    "requests time-out": (requests.Timeout(), FAILURE),
    "refused": (ConnectionRefusedError(), FAILURE),
    "reset": (ConnectionResetError(), FAILURE),
    "httpx connection": (httpx.ConnectError("c"), FAILURE),
    "requests connection": (requests.ConnectionError(), FAILURE),
    "no such name": (socket.gaierror(), FAILURE),
    "a certificate": (ssl.SSLCertVerificationError(), FAILURE),
    "a full disk": (OSError(28, "no space"), FAILURE),
    "a time-out that a tool reports": (caused(ToolException("sorry"), httpx.ReadTimeout("t")), FAILURE),
    "a group of time-outs": (ExceptionGroup("g", [TimeoutError(), TimeoutError()]), FAILURE),
    # Answers
    **{f"HTTP {status}": (http(status), FAILURE) for status in (408, 500, 501, 502, 503, 504, 529)},
    **{f"HTTP {status}": (http(status), IGNORED) for status in (400, 401, 403, 404, 409, 410, 422)},
    "requests 500": (of_requests(500), FAILURE),
    "requests 404": (of_requests(404), IGNORED),
    "404 that a tool reports": (caused(RuntimeError("not found"), http(404)), IGNORED),
    # Too many
    "HTTP 429": (http(429), rate_limited()),
    "429 in seconds": (http(429, retry_after="12"), rate_limited(12)),
    "429 by a date": (http(429, retry_after="Thu, 01 Jan 2026 00:01:00 GMT"), rate_limited(60)),
    "429 of yesterday": (http(429, retry_after="Wed, 31 Dec 2025 00:00:00 GMT"), rate_limited(0)),
    "429 of nonsense": (http(429, retry_after="soon"), rate_limited()),
    "requests 429": (of_requests(429, Retry_After="12"), rate_limited(12)),
    "503 that says when": (http(503, retry_after="30"), rate_limited(30)),
    # LangChain's own
    "model rate limit": (ModelRateLimitError(), rate_limited()),
    "model time-out": (ModelTimeoutError(), FAILURE),
    "model connection": (ModelConnectionError(), FAILURE),
    "model API": (ModelAPIError(), FAILURE),
    "model credentials": (ModelAuthenticationError(), IGNORED),
    "model context": (ContextOverflowError(), IGNORED),
    # Arguments
    "wrong value": (ValueError(), IGNORED),
    "wrong arguments": (invalid(), IGNORED),
    "no such file": (FileNotFoundError(), IGNORED),
    "no permission": (PermissionError(), IGNORED),
    "no URL": (requests.exceptions.MissingSchema(), IGNORED),
    "no URL for httpx": (httpx.UnsupportedProtocol("x"), IGNORED),
    # The tool itself
    "rubbish": (json.JSONDecodeError("x", "<html>", 0), FAILURE),
    "a crash": (RuntimeError(), FAILURE),
    "a bug": (TypeError(), FAILURE),
    "a tool's own": (ToolException("no"), FAILURE),
    # What was returned
    "nothing": (None, SUCCESS),
    "a text": ("Error: timeout", SUCCESS),
    "a result": (ToolResult.success(1), SUCCESS),
    "a transient error": (ToolResult.error("transient", "x"), FAILURE),
    "a time-out told": (ToolResult.error("timeout", "x"), FAILURE),
    "a limit told": (ToolResult.error("rate_limit", "x", retry_after=7), rate_limited(7)),
    "wrong arguments told": (ToolResult.error("validation", "x"), IGNORED),
    "a refusal told": (ToolResult.error("denied", "x"), IGNORED),
}


@pytest.mark.parametrize(("ended", "outcome"), ENDS.values(), ids=ENDS)
def test_an_end_says_of_the_service(ended: Any, outcome: Outcome) -> None:
    """A caller's mistake must not close a tool for everybody, and an outage must not pass for one."""
    assert outcome_of(ended, NOW) == outcome


def test_an_exception_that_fights_back_is_a_failure() -> None:
    """Its properties raise, its text raises: it still has an outcome."""

    class Hostile(Exception):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __str__(self) -> str:
            raise RuntimeError

    assert outcome_of(Hostile()).kind in ("failure", "ignored")
