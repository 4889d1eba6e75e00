"""The service that people copy, as a process of its own on a real Redis: it answers, drains, and goes on elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.servers.http import Server
from tests.servers.redis import RedisServer, redis_server, until

__all__ = ["redis_server"]

FOLDER: Final = Path(__file__).parent.parent.parent / "examples/fastapi_service"
PATIENCE: Final = 90.0
QUESTION: Final = {"text": "Where is my order?"}


class Orders:
    """An order service that answers when it is told to. `asked`: that somebody waits for it."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()
        self.server = Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handler(orders: Orders) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                orders.asked.set()
                orders.answer.wait(PATIENCE)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"It is at your neighbour's.")

            def log_message(self, *args: object) -> None:
                pass

        return Handler


class Service:
    """One worker."""

    def __init__(self, redis: str, folder: Path, orders: str | None = None) -> None:
        own = Path(tempfile.mkdtemp(dir=folder))
        told = {"REDIS_URL": redis, "STEPS_FILE": str(own / "steps.db")} | ({"ORDERS_URL": orders} if orders else {})
        quiet = {name: said for name, said in os.environ.items() if not name.startswith("LANGFUSE_")}
        self.log = (own / "log.txt").open("w+")
        while not self._starts(quiet | told):
            pass  # somebody else took the port in between

    def _starts(self, environment: dict[str, str]) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "service.py"],
            cwd=FOLDER,
            env={**environment, "PORT": str(port)},
            stdout=self.log,
            stderr=self.log,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False)
        until(lambda: self.process.poll() is not None or self._answers(), "the service")
        if self.process.poll() is None:
            return True
        self.client.close()
        self.log.seek(0)
        said = self.log.read()
        assert "address already in use" in said, said
        return False

    def _answers(self) -> bool:
        try:
            return self.client.get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, thread: str, what: str = "") -> httpx.Response:
        given = None if what else QUESTION
        return self.client.post(f"/threads/{thread}{what}", json=given, headers={"x-user": "7"})

    def end(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.log.close()


@pytest.fixture
def orders() -> Iterator[Orders]:
    """Lets everybody go at the end."""
    found = Orders()
    yield found
    found.answer.set()
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Service]]:
    """Ended at the end."""
    found: list[Service] = []
    yield found
    for each in found:
        each.end()


def test_it_answers_and_is_ready(redis_server: RedisServer, workers: list[Service], tmp_path: Path) -> None:
    """A question, the steps that it took, and what a platform asks before it sends traffic."""
    workers.append(Service(redis_server.url, tmp_path))
    assert workers[0].client.get("/health/ready").json() == {"ok": True}
    answer = workers[0].ask("t-answers")
    assert answer.json() == {"text": "Order 4711 left the warehouse this morning.", "status": ""}


def test_a_worker_that_is_told_to_stop_ends_what_is_under_way(
    redis_server: RedisServer, workers: list[Service], orders: Orders, tmp_path: Path
) -> None:
    """A deployment must not cut answers off that are paid for."""
    workers.append(Service(redis_server.url, tmp_path, orders.url))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(workers[0].ask, "t-drains")
        assert orders.asked.wait(PATIENCE)
        workers[0].process.send_signal(signal.SIGTERM)
        orders.answer.set()
        assert under_way.result(PATIENCE).json()["text"] == "It is at your neighbour's."
    assert workers[0].process.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_another_worker_goes_on_where_one_was_killed(
    redis_server: RedisServer, workers: list[Service], orders: Orders, tmp_path: Path
) -> None:
    """kill -9 in the middle of a turn: what was stored stands, and the rest is done elsewhere."""
    workers.append(Service(redis_server.url, tmp_path, orders.url))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(workers[0].ask, "t-killed")
        assert orders.asked.wait(PATIENCE)
        workers[0].process.kill()
        with pytest.raises(httpx.TransportError):
            under_way.result(PATIENCE)
    orders.answer.set()
    workers.append(Service(redis_server.url, tmp_path, orders.url))
    assert workers[1].ask("t-killed", "/resume").json()["text"] == "It is at your neighbour's."


def test_without_redis_it_says_so_and_spends_nothing(workers: list[Service], tmp_path: Path) -> None:
    """A 503 with a sentence, and not a hanging request or a call that nobody counts."""
    with RedisServer() as server:
        workers.append(Service(server.url, tmp_path))
        server.kill()
        assert workers[0].client.get("/health/ready").status_code == 503
        assert workers[0].ask("t-away").status_code == 503
