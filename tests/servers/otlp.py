"""A receiver of traces and scores on loopback: what arrives on the wire, six ways of being down, and three of refusing.

    with Receiver() as receiver:
        ...
        print(receiver.tree())

It speaks OTLP over HTTP (protobuf, gzip) on any path that ends in `/v1/traces` and takes JSON at `/api/public/scores`.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers.http import Server

Fault = Literal["up", "refused", "reset", "hang", "500", "slow", "400", "401", "403", "207"]
SLOW = 0.3
PATIENCE = 60.0


@dataclass(frozen=True)
class Span:
    """A span as it was sent."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    attributes: dict[str, Any]
    status: str
    scope: str = ""

    @property
    def type(self) -> str:
        return str(self.attributes.get("langfuse.observation.type", ""))

    def json(self, name: str) -> Any:
        """An attribute that Langfuse keeps as JSON; `None` when it is not there."""
        value = self.attributes.get(name)
        return json.loads(value) if isinstance(value, str) else value


@dataclass
class Received:
    """What arrived so far."""

    spans: list[Span] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Every body as it can be read: unzipped."""
    headers: list[dict[str, str]] = field(default_factory=list)


class Receiver:
    """Listens on a free port of 127.0.0.1. `fault` may change while it runs; `refused` closes its port."""

    def __init__(self, fault: Fault = "up") -> None:
        self.fault = fault
        self.got = Received()
        self.asked = threading.Event()
        """Set by the first request, also by one that is not answered."""
        self.released = threading.Event()
        """Set to let go of requests that hang."""
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        if fault == "refused":
            self._server.server_close()
        else:
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()

    @property
    def spans(self) -> list[Span]:
        return list(self.got.spans)

    @property
    def scores(self) -> list[dict[str, Any]]:
        return list(self.got.scores)

    @property
    def wire(self) -> bytes:
        """All that arrived, headers too."""
        return b"\n".join([*self.got.bodies, json.dumps(self.got.headers).encode()])

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def parent(self, span: Span) -> Span | None:
        return next((each for each in self.spans if each.id == span.parent_id), None)

    def tree(self) -> str:
        """The spans as they nest, in the order in which they came."""
        return "\n".join(self._lines(None, 0))

    def _lines(self, parent: Span | None, depth: int) -> Iterator[str]:
        known = {span.id for span in self.spans}
        for span in self.spans:
            below = span.parent_id == parent.id if parent else span.parent_id not in known
            if below:
                yield f"{'  ' * depth}{span.name} <{span.type}>"
                yield from self._lines(span, depth + 1)


class _Server(Server):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        receiver = self.server.receiver
        receiver.asked.set()
        match receiver.fault:
            case "hang":
                receiver.released.wait(PATIENCE)
                self.close_connection = True
            case "reset":
                self._reset()
            case "500" | "400" | "401" | "403" as status:
                self._answer(int(status), {"message": "no"})
            case "slow":
                receiver.released.wait(SLOW)
                self._take(body)
            case _:
                self._take(body)

    def _take(self, body: bytes) -> None:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        got = self.server.receiver.got
        got.bodies.append(body)
        got.headers.append(dict(self.headers.items()))
        if self.path.endswith("/v1/traces"):
            got.spans.extend(_decoded(body))
            self._answer(200, {})
        else:
            told = json.loads(body or b"[]")
            got.scores.extend(told if isinstance(told, list) else [told])
            if self.server.receiver.fault == "207":
                self._answer(207, {"accepted": 0, "rejected": len(told), "errors": [{"message": str(told)}]})
            else:
                self._answer(202, {"message": "Accepted"})

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def _decoded(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    {each.key: _value(each.value) for each in span.attributes},
                    span.status.message,
                    scope.scope.name,
                )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
