"""The server that the others are made of."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler

from tests.servers.http import Server

handlers: list[threading.Thread] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        handlers.append(threading.current_thread())
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


def test_a_connection_that_a_client_keeps_ends_with_the_server() -> None:
    """Some clients live as long as their process, and there is one for each test."""
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = HTTPConnection("127.0.0.1", server.server_port)
    client.request("GET", "/")
    client.getresponse().read()
    assert handlers[0].is_alive()
    server.shutdown()
    server.server_close()
    handlers[0].join(60)
    assert not handlers[0].is_alive()
    client.close()
