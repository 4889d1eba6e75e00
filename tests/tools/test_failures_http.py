"""Failures of real HTTP clients, against a real server: what a model is told when the network lets a tool down."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import httpx2
import pytest
import requests

from langgraph_guard.tools.results.result import ToolResult

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "sk-do-not-show"
Call = Callable[[str], object]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would answer for servers that do not exist."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def server(status: int | None = None, **headers: str) -> Iterator[str]:
    """Answers everything with `status` and a page about secrets. None: it never answers."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status is None:
                done.wait(10)
                return
            body = f"Traceback (most recent call last): {SECRET}".encode()
            self.send_response_only(status)
            for name, value in {**headers, "Set-Cookie": SECRET, "Content-Length": str(len(body))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/orders?token={SECRET}"
        finally:
            done.set()
            running.shutdown()
            thread.join(5)


@contextmanager
def resetting() -> Iterator[str]:
    """Takes a connection and throws it away."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?token={SECRET}"
        thread.join(5)


@contextmanager
def closed() -> Iterator[str]:
    """A place where nobody listens, nor begins to."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{ours.getsockname()[1]}/?token={SECRET}"


def by_httpx(url: str, timeout: float = 10) -> object:
    """As tools do it, with a key."""
    return httpx.get(url, timeout=timeout, headers={"Authorization": SECRET}).raise_for_status()


def by_httpx2(url: str, timeout: float = 10) -> object:
    """As tools do it, with a key."""
    return httpx2.get(url, timeout=timeout, headers={"Authorization": SECRET}).raise_for_status()


def by_requests(url: str, timeout: float = 10) -> object:
    """As tools do it, with a key."""
    response = requests.get(url, timeout=timeout, headers={"Authorization": SECRET})
    response.raise_for_status()
    return response


def by_urllib(url: str, timeout: float = 10) -> object:
    """As tools do it, with a key."""
    return urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": SECRET}), timeout=timeout)


CLIENTS = [by_httpx, by_httpx2, by_requests, by_urllib]
clients = pytest.mark.parametrize("get", CLIENTS, ids=[client.__name__ for client in CLIENTS])


def failure(call: Callable[[], object], now: float | None = NOW.timestamp()) -> ToolResult:
    """What a tool's failure says."""
    try:
        call()
    except Exception as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        result = ToolResult.from_exception(error, now=now)
    else:
        pytest.fail("the server was to fail")
    assert SECRET not in result.render()
    assert "Traceback" not in result.render()
    return result


@clients
def test_too_many_requests_say_when_to_come_back_in_seconds(get: Call) -> None:
    """A loop that comes back at once is refused again, and makes it worse."""
    with server(429, Retry_After="17") as url:
        result = failure(lambda: get(url))
    assert (result.error_type, result.retry_safe, result.retry_after) == ("rate_limit", True, 17.0)


@clients
def test_too_many_requests_say_when_to_come_back_by_a_date(get: Call) -> None:
    """The standard allows a date as well, and gateways use it."""
    at = format_datetime(NOW.replace(minute=2), usegmt=True)
    with server(429, Retry_After=at) as url:
        result = failure(lambda: get(url))
    assert (result.error_type, result.retry_after) == ("rate_limit", 120.0)


@clients
def test_a_date_counts_from_the_answer_s_own_when_nobody_says_what_time_it_is(get: Call) -> None:
    """Two clocks that differ by minutes would make a wait of an hour, or none."""
    at, sent = format_datetime(NOW.replace(second=30), usegmt=True), format_datetime(NOW, usegmt=True)
    with server(503, Retry_After=at, Date=sent) as url:
        result = failure(lambda: get(url), now=None)
    assert (result.error_type, result.retry_after) == ("transient", 30.0)


@clients
@pytest.mark.parametrize(
    ("status", "kind", "safe"),
    [
        (400, "validation", False),
        (401, "permanent", False),
        (403, "permanent", False),
        (404, "permanent", False),
        (408, "timeout", True),
        (409, "permanent", False),
        (418, "permanent", False),
        (422, "validation", False),
        (423, "transient", True),
        (425, "transient", True),
        (429, "rate_limit", True),
        (500, "transient", True),
        (501, "permanent", False),
        (503, "transient", True),
        (504, "timeout", True),
        (529, "transient", True),
    ],
)
def test_a_status_tells_the_kind_of_failure(get: Call, status: int, kind: str, safe: bool) -> None:
    """The same 404 forty times, or a 503 never tried again: both come from not telling them apart."""
    with server(status) as url:
        result = failure(lambda: get(url))
    assert (result.error_type, result.retry_safe, f"HTTP {status}" in result.message) == (kind, safe, True)


@clients
def test_no_answer_in_time_is_a_timeout_and_no_result(get: Callable[..., object]) -> None:
    """The incident began with a timeout that was read as "pending"."""
    with server() as url:
        result = failure(lambda: get(url, timeout=0.05))
    assert (result.error_type, "nothing is known" in result.message) == ("timeout", True)


@clients
@pytest.mark.parametrize("place", [closed, resetting])
def test_a_connection_that_fails_may_succeed_later(get: Call, place: Callable[[], Any]) -> None:
    """Refused and reset are what a restart looks like from outside."""
    with place() as url:
        result = failure(lambda: get(url))
    assert (result.error_type, result.retry_safe) == ("transient", True)


@clients
def test_a_403_that_says_when_to_come_back_is_a_rate_limit(get: Call) -> None:
    """GitHub's way: a model that reads "not allowed" tells its user to fix the token."""
    reset = str(int(NOW.timestamp()) + 90)
    with server(403, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}) as url:
        result = failure(lambda: get(url))
    assert (result.error_type, result.retry_after) == ("rate_limit", 90.0)


@clients
@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("0", 0.0),
        ("-5", 0.0),
        ("1e400", 86_400.0),
        ("999999", 86_400.0),
        ("nan", None),
        ("soon", None),
        ("Wed, 99 Foo 2026", None),
        (format_datetime(NOW.replace(year=2020), usegmt=True), 0.0),
        (format_datetime(NOW.replace(year=2030), usegmt=True), 86_400.0),
    ],
)
def test_nonsense_and_extremes_in_retry_after_do_no_harm(get: Call, said: str, understood: float | None) -> None:
    """A header is somebody else's text."""
    with server(429, Retry_After=said) as url:
        assert failure(lambda: get(url)).retry_after == understood


def test_milliseconds_count_before_seconds() -> None:
    """OpenAI and Azure send both, and the finer one is the one they mean."""
    with server(429, **{"Retry-After-Ms": "1500", "Retry-After": "2"}) as url:
        assert failure(lambda: by_httpx(url)).retry_after == 1.5


def test_a_server_that_says_not_to_retry_is_believed() -> None:
    """OpenAI's and Anthropic's servers know whether a 500 is for good."""
    with server(500, **{"X-Should-Retry": "false"}) as url:
        assert not failure(lambda: by_httpx(url)).retry_safe


def test_a_certificate_that_fails_is_no_outage() -> None:
    """Clients report it as a connection error; trying again meets the same certificate."""
    import ssl

    def connect() -> None:
        try:
            raise ssl.SSLCertVerificationError(1, "certificate verify failed")
        except ssl.SSLError as error:
            raise httpx.ConnectError("no") from error

    result = failure(connect)
    assert (result.error_type, result.retry_safe) == ("permanent", False)


def test_a_url_that_cannot_be_is_no_outage() -> None:
    """It is wrong each time."""
    assert failure(lambda: by_requests("nowhere")).error_type == "permanent"
