"""An HTTP server that takes its connections along when it is closed.

Clients keep connections for the next request, some as long as their process lives: a thread would wait on each.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *where: Any) -> None:
        self._connections: set[socket.socket] = set()
        self._changing = threading.Lock()
        self._closed = False
        super().__init__(*where)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            self._connections.add(request)
            is_late = self._closed
        if is_late:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changing:
            self._connections.discard(request)
            super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._changing:
            self._closed = True
            for connection in self._connections:
                with suppress(OSError):  # its client was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up as they like, and so do servers that are down."""
