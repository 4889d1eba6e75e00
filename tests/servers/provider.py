"""A provider on a free loopback port: plays a script, remembers what it was asked and what it bills."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Self

from tests.servers.http import Server
from tests.servers.script import Reply, Tokens

PATIENCE = 30.0
"""Seconds for a request to arrive."""


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    id: str


class Provider:
    """The part that is the same for every protocol. The script's last reply is given for ever.

    A subclass says how a reply looks on the wire: `whole`, `events`, `error`, and `cap_of` a request.
    """

    base: ClassVar[str] = ""
    """What a client's `base_url` ends with."""

    def __init__(self, *script: Reply) -> None:
        self._script = list(script)
        self.requests: list[Request] = []
        self.billed: list[Tokens] = []
        self._lock = threading.Condition()
        self.stopping = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.provider = self

    # How the protocol looks

    def cap_of(self, body: Mapping[str, Any]) -> int | None:
        """The most output tokens that a request allows."""
        raise NotImplementedError

    def whole(self, request: Request, reply: Reply) -> dict[str, Any]:
        """The body of an answer that is sent at once."""
        raise NotImplementedError

    def events(self, request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
        """The data of the events of an answer that is streamed."""
        raise NotImplementedError

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of an error."""
        raise NotImplementedError

    def event(self, data: Mapping[str, Any]) -> str:
        """One event of a stream."""
        return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"

    last_event: ClassVar[str] = ""

    # What a test does with it

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{self.base}"

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        return [request.body for request in self.requests]

    def was_asked(self) -> None:
        """Wait for the first request: a client that gave up early may be ahead of the thread that reads it."""
        with self._lock:
            assert self._lock.wait_for(lambda: self.requests, PATIENCE)

    def will(self, *script: Reply) -> Self:
        """Go on with another script."""
        with self._lock:
            self._script = list(script)
        return self

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    # What the handler does with it

    def take(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            if reply.bills is not None:
                self.billed.append(reply.bills.within(self.cap_of(request.body)))
            self._lock.notify_all()
            return reply


class _Server(Server):
    provider: Provider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""

    def do_POST(self) -> None:
        provider = self.server.provider
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, body, headers, uuid.uuid4().hex)
        reply = provider.take(request)
        provider.stopping.wait(reply.wait)
        if reply.status != 200:
            self._send(provider.error(reply), reply)
        elif body.get("stream"):
            self._stream(request, reply)
        else:
            self._send(provider.whole(request, reply), reply)

    def _send(self, body: Mapping[str, Any], reply: Reply) -> None:
        data = json.dumps(body).encode()
        self._head(reply, "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if reply.cut is None:
            self.wfile.write(data)
        else:
            self.wfile.write(data[: len(data) // 2])
            self._drop()

    def _stream(self, request: Request, reply: Reply) -> None:
        provider = self.server.provider
        self._head(reply, "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, data in enumerate(provider.events(request, reply)):
            if number == reply.cut:
                return self._drop()
            if number == reply.broken:
                self._chunk(f"event: error\ndata: {json.dumps(provider.error(reply))}\n\n")
                break
            self._chunk(provider.event(data))
            provider.stopping.wait(reply.pause)
        else:
            self._chunk(provider.last_event)
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _head(self, reply: Reply, content_type: str) -> None:
        self.send_response(reply.status)
        self.send_header("content-type", content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)

    def _chunk(self, text: str) -> None:
        if data := text.encode():
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _drop(self) -> None:
        """Hang up in the middle of a sentence."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@cache
def closed_port() -> int:
    """A port on which nobody listens, nor begins to: it is ours until the process ends."""
    _OURS.bind(("127.0.0.1", 0))
    return int(_OURS.getsockname()[1])


_OURS = socket.socket()
