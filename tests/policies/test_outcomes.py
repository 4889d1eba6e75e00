"""Outcomes: money is given back only when nothing can have been billed. Real errors of real clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

import httpx
import openai
import pytest
import requests

from langgraph_guard.errors import BudgetExceeded, BudgetUnavailable
from langgraph_guard.policies.outcomes import outcome_of

HALF: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would answer for servers that do not exist."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """A server of one connection: reads a request, sends `answer` (`None`: nothing), and hangs up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            with suppress(OSError), closing(listening.accept()[0]) as connection:
                connection.recv(65_536)
                if answer is None:
                    hold.wait(5)
                else:
                    connection.sendall(answer)

        hold = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            hold.set()
            thread.join(5)


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A place where nobody listens, nor begins to."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{ours.getsockname()[1]}"


def answer(status: int) -> bytes:
    """A response of that status."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode()


def failure(act: Callable[[], object]) -> Exception:
    """The error that `act` ends with."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the client raises is what is asked about
        act()
    return caught.value


# httpx


def test_httpx_nobody_listens(closed_port: str) -> None:
    """The provider is down: no retry of ours may cost the user anything."""
    assert outcome_of(failure(lambda: httpx.get(closed_port))) == "not_sent"


def test_httpx_no_such_host() -> None:
    """Neither does a typo in a host name."""
    assert outcome_of(failure(lambda: httpx.get("http://nobody.invalid"))) == "not_sent"


def test_httpx_no_such_scheme() -> None:
    """Nor one in its scheme."""
    assert outcome_of(failure(lambda: httpx.get("htp://example.invalid"))) == "not_sent"


def test_httpx_no_free_connection() -> None:
    """A pool that is full kept the request at home."""

    one = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=httpx.Timeout(5, pool=0.01))
    with server(HALF) as url, one as client, client.stream("GET", url):
        assert outcome_of(failure(lambda: client.get(url))) == "not_sent"


def test_httpx_time_out_while_waiting_for_the_answer() -> None:
    """The request was read; the answer may have been written, and billed, a moment later."""
    with server(None) as url:
        assert outcome_of(failure(lambda: httpx.get(url, timeout=httpx.Timeout(30, read=0.05)))) == "uncertain"


@pytest.mark.parametrize("cut", [b"", HALF], ids=["at once", "midway"])
def test_httpx_cut_off(cut: bytes) -> None:
    """Tokens were produced, whether they arrived or not."""
    with server(cut) as url:
        assert outcome_of(failure(lambda: httpx.get(url))) == "uncertain"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (404, "refused"),
        (413, "refused"),
        (422, "refused"),
        (429, "refused"),
        (408, "uncertain"),
        (409, "uncertain"),
        (499, "uncertain"),
        (500, "uncertain"),
        (502, "uncertain"),
        (503, "uncertain"),
        (504, "uncertain"),
        (529, "uncertain"),
    ],
)
def test_a_status_decides(status: int, outcome: str) -> None:
    """Providers bill no request that they refuse; an error of theirs may come after the work."""
    with server(answer(status)) as url:
        assert outcome_of(failure(lambda: httpx.get(url).raise_for_status())) == outcome


# requests


def test_requests_no_connection_in_time() -> None:
    """Raised before anything was sent."""
    assert outcome_of(requests.exceptions.ConnectTimeout()) == "not_sent"


@pytest.mark.parametrize("url", ["no-scheme", "http://"])
def test_requests_wrong_address(url: str) -> None:
    """Not an address, not a request."""
    assert outcome_of(failure(lambda: requests.get(url, timeout=1))) == "not_sent"


def test_requests_time_out_while_waiting_for_the_answer() -> None:
    """As with any client."""
    with server(None) as url:
        assert outcome_of(failure(lambda: requests.get(url, timeout=(30, 0.05)))) == "uncertain"


@pytest.mark.parametrize(("status", "outcome"), [(429, "refused"), (500, "uncertain")])
def test_requests_status(status: int, outcome: str) -> None:
    """Its errors carry the response too."""
    with server(answer(status)) as url:
        assert outcome_of(failure(lambda: requests.get(url, timeout=5).raise_for_status())) == outcome


# A provider's client


def ask(url: str, **options: Any) -> Exception:
    """The error of the OpenAI client, which wraps those of the HTTP client that it uses."""

    def call() -> None:
        with openai.OpenAI(api_key="k", base_url=url, max_retries=0, **options) as client:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    return failure(call)


def test_openai_nobody_listens(closed_port: str) -> None:
    """Its connection error names the client's as its cause, whichever HTTP client this version uses."""
    assert outcome_of(ask(closed_port)) == "not_sent"


def test_openai_time_out() -> None:
    """A time-out of the whole request may have been billed."""
    with server(None) as url:
        assert outcome_of(ask(url, timeout=httpx.Timeout(30, read=0.05))) == "uncertain"


@pytest.mark.parametrize(("status", "outcome"), [(400, "refused"), (429, "refused"), (500, "uncertain")])
def test_openai_status(status: int, outcome: str) -> None:
    """Its errors have a status of their own."""
    with server(answer(status)) as url:
        assert outcome_of(ask(url)) == outcome


# Everything else


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        socket.gaierror(),
        BudgetExceeded("usd", "user", 1, 1, 0, 1),
        BudgetUnavailable("redis"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_never_left_the_machine_is_released(error: Exception) -> None:
    """An inner budget that refuses has sent nothing either."""
    assert outcome_of(error) == "not_sent"


@pytest.mark.parametrize(
    "error",
    [
        Exception(),
        ValueError("bad json"),
        TimeoutError(),
        ConnectionResetError(),
        BrokenPipeError(),
        OSError(),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_nobody_knows_is_charged(error: BaseException) -> None:
    """The table's last line: whatever is not certain costs what was held."""
    assert outcome_of(error) == "uncertain"


class Status(Exception):
    """An error with a status, as many clients have it."""

    def __init__(self, status_code: object) -> None:
        self.status_code = status_code


def raised(outer: Exception, *, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    """`outer` as it looks when it was raised from `cause`, or while handling `context`."""
    outer.__cause__, outer.__context__ = cause, context or cause
    return outer


def test_a_wrapper_is_what_it_was_raised_from() -> None:
    """Frameworks wrap clients which wrap transports."""
    deep = raised(RuntimeError("model failed"), cause=raised(ValueError("call failed"), cause=ConnectionRefusedError()))
    assert outcome_of(deep) == "not_sent"
    assert outcome_of(raised(RuntimeError("model failed"), cause=Status(429))) == "refused"


@pytest.mark.parametrize("earlier", [ConnectionRefusedError(), Status(429)], ids=["not sent", "refused"])
def test_what_went_wrong_before_proves_nothing(earlier: Exception) -> None:
    """The first attempt was refused; the second, raised while handling it, may have been billed."""
    assert outcome_of(raised(TimeoutError(), context=earlier)) == "uncertain"


def test_the_outermost_status_is_this_requests() -> None:
    """An answer of 500 whose handling started from a refused attempt was an answer."""
    assert outcome_of(raised(Status(500), cause=Status(404))) == "uncertain"
    assert outcome_of(raised(Status(503), cause=ConnectionRefusedError())) == "uncertain"


@pytest.mark.parametrize("status", [None, "429", 0, 200, 302, object()])
def test_an_odd_status_is_no_refusal(status: object) -> None:
    """Only a number from 400 to 499 says that the provider turned the request down."""
    assert outcome_of(Status(status)) == "uncertain"


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Some libraries re-raise an error from one that it caused."""
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert outcome_of(one) == "uncertain"


def test_a_namesake_is_not_the_error() -> None:
    """Anyone may call a class ConnectError; only the client's own proves that nothing was sent."""

    class ConnectError(Exception):
        pass

    assert outcome_of(ConnectError()) == "uncertain"


def test_a_subclass_of_a_clients_error_is_one() -> None:
    """Transports of one's own derive theirs."""

    class MyConnectError(httpx.ConnectError):
        pass

    assert outcome_of(MyConnectError("no route")) == "not_sent"
