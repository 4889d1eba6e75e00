"""The order service, which accepts connections and never answers, and the tool that asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx
from langchain_core.tools import BaseTool, tool

PATIENCE: Final = 0.025
"""Seconds after which the tool gives up. In production it is more like five; a demo has less time."""


class Hanging(BaseHTTPRequestHandler):
    """Takes a request and is silent until the client hangs up."""

    def do_GET(self) -> None:
        self.rfile.read(1)


class Server(ThreadingHTTPServer):
    """Clients that give up are the normal case here, and no news."""

    request_queue_size = 128  # who waits for a place in the queue gives up while connecting, which is another error

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def order_service() -> Iterator[str]:
    """The service on a free port of this machine; its address."""
    with Server(("127.0.0.1", 0), Hanging) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def order_tool(url: str) -> Iterator[BaseTool]:
    """The agent's one tool, as agents have it: whatever its client raises is for the graph around it."""
    # read: connecting may take longer on a busy machine, and is another error, with other words and another price.
    # trust_env: a proxy of the environment is not for this machine.
    with httpx.Client(base_url=url, timeout=httpx.Timeout(5, read=PATIENCE), trust_env=False) as client:

        @tool
        def get_order_status(order_id: str) -> str:
            """Where an order is: pending, shipped or delivered."""
            return client.get(f"/orders/{order_id}").text

        yield get_order_status
