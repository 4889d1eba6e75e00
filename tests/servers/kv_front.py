"""Workers KV as its service is and its simulator is not: tokens, rate limits, lag, hot keys, and failures at will.

What the store does at all times is `Weather`: `front.store.weather.lag = 1.5`. What happens to the next requests is
told once: `front.will(Fault(429, retry_after=300), Fault(cut=10))`. With a `FakeClock` nothing here waits. It is
reached without a socket, blocking or on an event loop, by `transport`, and over HTTP, from another process too, by
`served`.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import httpx

from tests.servers.http import Server
from tests.servers.kv import ACCOUNT, KVPlace
from tests.servers.kv_store import Clock, KVStore, Weather
from tests.servers.kv_wire import NO_NAMESPACE, TOO_FAST, UNAUTHENTICATED, Answer, Asked, Refusal

NAMESPACE: Final = "langgraph"
TOKEN: Final = "a-token"
READ_ONLY: Final = "a-token-that-reads"
NO_RIGHTS: Final = "a-token-for-something-else"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: with the next, or with the next of that `call` (`PUT bulk`, `GET keys`, …).

    `status` and `code`: the answer instead of the right one; 0 leaves it. `retry_after`: seconds. `cut`: bytes of the
    answer that arrive before the connection drops. `done`: whether the request took effect nevertheless.
    """

    status: int = 0
    code: int = 0
    call: str = ""
    retry_after: float | None = None
    cut: int | None = None
    done: bool = False

    def refusal(self) -> Refusal:
        wait = {} if self.retry_after is None else {"retry-after": str(math.ceil(self.retry_after))}
        code = self.code or (TOO_FAST if self.status == 429 else 10000)
        text = "Please wait and consider throttling your request speed" if code == TOO_FAST else "scripted"
        return Refusal(self.status, code, text, wait)


@dataclass
class Quota:
    """So many requests in a window of seconds; what comes then is refused until the window ends."""

    requests: int = 1_200
    window: float = 300.0
    ends: float = field(default=0.0, init=False)
    left: int = field(default=0, init=False)

    def take(self, now: float) -> Mapping[str, str]:
        """The headers that every answer carries. Raises `Refusal`."""
        if now >= self.ends:
            self.ends, self.left = now + self.window, self.requests
        wait = math.ceil(self.ends - now)
        if self.left <= 0:
            fault = Fault(429, retry_after=wait).refusal()
            raise replace(fault, headers={**fault.headers, **self._headers(wait)})
        self.left -= 1
        return self._headers(wait)

    def _headers(self, wait: int) -> Mapping[str, str]:
        return {
            "ratelimit": f'"default";r={self.left};t={wait}',
            "ratelimit-policy": f'"default";q={self.requests};w={self.window:.0f}',
        }


class KVFront:
    """A store, and what stands before it. `requests` are those that arrived, `answered` what was said to them.

    The service's `account` and `namespace` are known, others are not; `tokens` say whether they may write, `None` that
    they may not even read. `ahead`: seconds by which the `Date` of answers is ahead of `clock`; `None`: they have none.
    """

    def __init__(self, clock: Clock, weather: Weather | None = None, quota: Quota | None = None) -> None:
        self.clock = clock
        self.store = KVStore(clock, weather or Weather())
        self.quota = quota or Quota(requests=1_000_000)
        self.accounts = {ACCOUNT}
        self.namespaces = {NAMESPACE}
        self.tokens: dict[str, bool | None] = {TOKEN: True, READ_ONLY: False, NO_RIGHTS: None}
        self.ahead: float | None = None
        self.requests: list[Asked] = []
        self.answered: list[int] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def calls(self) -> list[str]:
        """What was asked, in order: `GET keys`, `POST bulk/get`, `PUT bulk`."""
        return [asked.call for asked in self.requests]

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.requests, self.answered = [], []

    def will(self, *faults: Fault) -> None:
        """What goes wrong from now on, each once."""
        with self._lock:
            self._faults = list(faults)

    def answer(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[Answer, int | None]:
        """The answer, and how many bytes of it arrive, if not all."""
        try:
            asked = Asked.of(method, target, body, headers)
        except Refusal as refusal:
            return refusal.answer(), None
        with self._lock:
            self.requests.append(asked)
            fault = next((fault for fault in self._faults if fault.call in ("", asked.call)), Fault(done=True))
            self._faults = [each for each in self._faults if each is not fault]
            answer = self._answer(asked, fault)
            self.answered.append(answer.status)
        return answer, fault.cut

    def _answer(self, asked: Asked, fault: Fault) -> Answer:
        headers: Mapping[str, str] = {}
        try:
            headers = self._admitted(asked)
            if fault.status and not fault.done:
                raise fault.refusal()
            answer = (
                self.store.answer(asked) if fault.done or fault.cut is None else Answer(500, b" " * (fault.cut + 1))
            )
            if fault.status:
                raise fault.refusal()
        except Refusal as refusal:
            answer = refusal.answer()
        return replace(answer, headers={**headers, **answer.headers})

    def _admitted(self, asked: Asked) -> Mapping[str, str]:
        writes = asked.call not in ("GET keys", "GET values", "GET metadata", "POST bulk/get")
        if asked.token not in self.tokens:
            raise Refusal(401, UNAUTHENTICATED, "Authentication error")
        headers = self.quota.take(self.clock.now())
        may_write = self.tokens[asked.token]
        if asked.account not in self.accounts or may_write is None or (writes and not may_write):
            raise Refusal(403, UNAUTHENTICATED, "Authentication error")
        if asked.namespace not in self.namespaces:
            raise Refusal(404, NO_NAMESPACE, "namespace not found")
        return headers

    # Ways to it

    @property
    def place(self) -> KVPlace:
        """What to tell a saver whose transport is `transport`."""
        return KVPlace("http://kv.test", NAMESPACE, ACCOUNT, TOKEN)

    @property
    def transport(self) -> httpx.MockTransport:
        """For a blocking client, or for one on an event loop."""
        return httpx.MockTransport(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        answer, cut = self.answer(request.method, target, request.content, request.headers)
        if cut is not None:
            raise httpx.RemoteProtocolError("the connection dropped in the middle of an answer", request=request)
        headers = {**answer.headers, **self._date()}
        return httpx.Response(answer.status, content=answer.body, headers=headers, request=request)

    def _date(self) -> Mapping[str, str]:
        return {} if self.ahead is None else {"date": formatdate(self.clock.now() + self.ahead, usegmt=True)}

    @contextmanager
    def served(self) -> Iterator[KVPlace]:
        """On a free loopback port."""
        http = _Server(("127.0.0.1", 0), _Handler)
        http.front = self
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield replace(self.place, base_url=f"http://127.0.0.1:{http.server_port}")
        finally:
            http.shutdown()
            http.server_close()


class _Server(Server):
    front: KVFront


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer, cut = self.server.front.answer(self.command, self.path, body, dict(self.headers.items()))
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body if cut is None else answer.body[: min(cut, len(answer.body) - 1)])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - names that http.server looks for
