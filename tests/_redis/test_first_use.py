"""A server that was never there: said soon, with its address and what to do. Later outages are waited out."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.sentinel

from langgraph_guard._redis import RedisLink, actions, delivery, errors
from langgraph_guard._redis.actions import Ask, Deadline, Known, Pause
from langgraph_guard._redis.clients import Direct, Place, Settings, Sharded, Terms, Topology, Watched
from langgraph_guard._redis.delivery import deliver
from langgraph_guard._redis.loops import Loops
from langgraph_guard._redis.request import packed
from langgraph_guard._redis.routes import route_of
from langgraph_guard._redis.threads import Threads
from langgraph_guard.errors import StoreError, StoreRefused, StoreUnavailable
from langgraph_guard.flow import run
from langgraph_guard.testing import FakeClock, FaultProxy
from tests._redis.conftest import Execute
from tests.servers.redis import HOST, RedisServer, free_port

HERE = Place("here", 1)
SLOTS = [[0, 16_383, [b"here", 1, b"id"]]]
SENTINELS = Watched("mine", (Place("s", 1, True), Place("t", 2, True)), Terms(redis.Connection, {}))
LONG = 60.0


def behind(error: Exception, driver: Exception | None = None) -> Exception:
    """As the driver reports it: an error of its own, with the reason in its context."""
    outer = driver or redis.ConnectionError("Error connecting")
    outer.__context__ = error
    return outer


REFUSED = behind(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
TWICE = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed"
ABSENT = {
    "refused": REFUSED,
    "refused by both of a name's addresses": behind(OSError(TWICE.replace("111", str(errno.ECONNREFUSED)))),
    "no such name": behind(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
    "no such socket": behind(FileNotFoundError(errno.ENOENT, "No such file")),
    "no TLS there": behind(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
    "no Redis there": redis.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"),
    "no such master": errors.UnknownMaster(),
}
PERHAPS = {
    "cut": redis.ConnectionError("Connection closed by server."),
    "silent": redis.TimeoutError("Timeout reading from socket"),
    "unreachable": behind(OSError(errno.EHOSTUNREACH, "No route to host")),
    "one address of two is silent": behind(OSError(TWICE.replace("111", str(errno.ETIMEDOUT), 1))),
    "loading": redis.BusyLoadingError("Redis is loading the dataset in memory"),
    "full": redis.ConnectionError("max number of clients reached"),
}


class Script:
    """Performs actions from a script, whose last line is said for ever. Time passes in pauses, and a little in all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lines: Any) -> None:
        self.clock = FakeClock()
        self.lines = list(lines)
        self.asked: list[Place] = []
        monkeypatch.setattr(actions, "time", SimpleNamespace(monotonic=self.clock.now))

    def perform(self, steps: Any) -> list[Any]:
        line: Any = None
        for step in steps:
            self.clock.advance(step.seconds if isinstance(step, Pause) else 0.001)
            if isinstance(step, Ask):
                self.asked.append(step.place)
                line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, Exception):
            raise line
        return line or []

    def failure(self, topology: Topology, known: Known | None = None, deadline: float = LONG) -> StoreError:
        """What a batch ends in."""
        with pytest.raises(StoreError) as caught:
            run(deliver([("GET", "k")], route_of(topology), Deadline(deadline, known=known)), self.perform)
        return caught.value


def waited(failure: StoreError) -> float:
    """Seconds."""
    assert isinstance(failure, StoreUnavailable)
    return failure.waited


@pytest.mark.parametrize("error", ABSENT.values(), ids=ABSENT)
def test_what_was_never_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A wrong address is no outage: nobody should look at a silent terminal for ten seconds to learn of it."""
    assert waited(Script(monkeypatch, error).failure(Direct())) <= LONG / 10


@pytest.mark.parametrize(("deadline", "most"), [(10.0, 1.0), (2.0, 0.5), (0.2, 0.2)])
def test_a_moment_is_given_to_what_was_never_there(
    monkeypatch: pytest.MonkeyPatch, deadline: float, most: float
) -> None:
    """A name service may hiccup, a container start a moment late: it is looked for more than once."""
    script = Script(monkeypatch, REFUSED)
    assert waited(script.failure(Direct(), deadline=deadline)) <= most
    assert len(script.asked) >= 4


def test_a_connection_that_broke_is_one_that_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server restarts under its first users: they had reached it, so this is an outage."""
    assert waited(Script(monkeypatch, PERHAPS["cut"], REFUSED).failure(Direct())) > LONG / 2


@pytest.mark.parametrize("error", PERHAPS.values(), ids=PERHAPS)
def test_what_may_be_there_is_waited_for(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A server that is slow, loading or full is one that a moment later answers: its first users wait for it, too."""
    assert waited(Script(monkeypatch, error).failure(Direct())) > LONG / 2


@pytest.mark.parametrize("error", ABSENT.values(), ids=ABSENT)
def test_what_was_there_is_waited_for(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A restart, a fail-over, a resolver that hiccups: the whole deadline, whatever the error looks like."""
    known = Known()
    script = Script(monkeypatch, [b"v"], error)
    run(deliver([("GET", "k")], route_of(Direct()), Deadline(10, known=known)), script.perform)
    assert waited(script.failure(Direct(), known)) > LONG / 2


@pytest.mark.parametrize(
    ("topology", "found"), [(SENTINELS, [[b"here", b"1"]]), (Sharded((HERE,)), [SLOTS])], ids=["sentinel", "cluster"]
)
def test_a_master_that_somebody_names_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, topology: Topology, found: Any
) -> None:
    """Sentinels or nodes that answer show that the settings are right; the rest is a fail-over under way."""
    script = Script(monkeypatch, found, *[REFUSED] * 9, found, REFUSED)
    assert waited(script.failure(topology)) > LONG / 2


def test_one_silent_seed_among_those_that_refuse_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whichever order they are asked: the silent one may be the one that is right."""
    for first, second in ((REFUSED, PERHAPS["silent"]), (PERHAPS["silent"], REFUSED)):
        script = Script(monkeypatch, *[first, second] * 50, PERHAPS["silent"])
        assert waited(script.failure(Sharded((HERE, Place("there", 2))))) > LONG / 2


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        (Direct("host:6379"), "redis at host:6379 did not answer"),
        (SENTINELS, "redis at s:1, t:2 did not answer"),
        (Sharded((HERE,)), "redis at here:1 did not answer"),
        (Direct(), "redis did not answer"),
    ],
    ids=["direct", "sentinel", "cluster", "unknown"],
)
def test_an_error_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, topology: Topology, said: str) -> None:
    """The usual mistake is in the address: a host's name or a port of yesterday."""
    assert str(Script(monkeypatch, REFUSED).failure(topology)).startswith(said)


def test_a_refusal_says_who_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three servers, the one whose password is another."""
    failure = Script(monkeypatch, [SLOTS], redis.AuthenticationError("no")).failure(Sharded((Place("seed", 7),)))
    assert str(failure).startswith("redis at here:1 refused GET: the user name or the password is wrong. ")


def test_nothing_listens(execute: Execute) -> None:
    """What a newcomer meets first: they have not started it."""
    port = free_port()
    failure = failed(execute, RedisLink.from_url(f"redis://me:canary@{HOST}:{port}", deadline=10))
    assert str(failure).startswith(f"redis at {HOST}:{port} did not answer PING within ")
    assert "nothing listens there. Start the server, or correct the address" in str(failure)
    assert "canary" not in f"{failure!r} {failure}"
    assert failure.__cause__
    assert errors.absent(failure.__cause__), "so it is not waited for"


def test_localhost_is_both_of_its_addresses(execute: Execute) -> None:
    """Where a name has two addresses, asyncio puts both refusals into one error of another class."""
    failure = failed(execute, RedisLink.from_url(f"redis://localhost:{free_port()}", deadline=3))
    assert "nothing listens there" in str(failure)


def test_a_name_that_nobody_knows(execute: Execute) -> None:
    """`redis://redis` outside of the containers that know that name."""
    failure = failed(execute, RedisLink.from_url("redis://no-such-host.invalid:6379", deadline=10))
    assert "redis at no-such-host.invalid:6379 did not answer" in str(failure)
    assert "its host name is not known here" in str(failure)


def test_a_socket_that_is_not_there(execute: Execute) -> None:
    """Another folder than the server's."""
    failure = failed(execute, RedisLink.from_url("unix:///no/such.sock", deadline=3))
    assert str(failure).startswith("redis at /no/such.sock did not answer")
    assert "nothing listens there" in str(failure)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "it wants a password. Give it: redis://:password@host:port, or password= of your client"),
        ("me:canary@", "the user name or the password is wrong. Correct them in the URL, or in your client"),
    ],
    ids=["none", "wrong"],
)
def test_a_password(execute: Execute, secret: str, said: str) -> None:
    """At once, with what to do; the password is not told."""
    with RedisServer(requirepass="other") as server:
        failure = failed(execute, RedisLink.from_url(f"redis://{secret}{HOST}:{server.port}", deadline=60))
    assert isinstance(failure, StoreRefused)
    assert str(failure) == f"redis at {HOST}:{server.port} refused PING: {said}"


def test_a_port_that_does_not_speak_tls_is_silent(server: RedisServer, execute: Execute) -> None:
    """It waits for the end of a line that never comes; so the error says what that may mean."""
    failure = failed(execute, RedisLink.from_url(f"rediss://{HOST}:{server.port}", deadline=2))
    assert f"redis at {HOST}:{server.port} did not answer PING" in str(failure)
    assert "redis://" in str(failure)


@pytest.mark.parametrize("world", [Threads, Loops])
def test_a_port_that_hangs_up(world: Any) -> None:
    """One that speaks TLS does so when it is asked in plain text. One attempt is enough to know what was met."""
    with Answering() as port:
        settings = Settings.of_url(f"redis://{HOST}:{port}")
        performer = world(settings if world is Threads else settings.in_other_world())
        ask = [Ask(Place(), packed([("PING",)]), 1, 60.0)]
        with pytest.raises(redis.ConnectionError) as caught:
            performer.perform(ask) if world is Threads else asyncio.run(performer.perform(ask))
    failure = str(errors.final(caught.value, "PING", 0.0))
    assert failure.endswith("it hangs up before it answers. If its port speaks TLS, say rediss://")


def test_a_certificate_s_file_that_is_not_there(execute: Execute) -> None:
    """Of this machine, and nothing about the server."""
    with Answering() as port:
        url = f"rediss://{HOST}:{port}"
        failure = failed(execute, RedisLink.from_url(url, deadline=5, ssl_ca_certs="/no/such.pem"))
    assert "a file that its TLS settings name is not there. Correct ssl_ca_certs" in str(failure)


def test_what_is_no_redis(execute: Execute) -> None:
    """The port of a web server, say."""
    with Answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        failure = failed(execute, RedisLink.from_url(f"redis://{HOST}:{port}", deadline=5))
    assert "what answers there is no Redis" in str(failure)


def test_a_master_s_name_that_no_sentinel_knows(execute: Execute) -> None:
    """A misspelt service name."""
    with RedisServer(mode="--sentinel") as sentinel:
        watching = redis.sentinel.Sentinel([(HOST, sentinel.port)])
        failure = failed(execute, RedisLink(watching.master_for("no-such-master"), deadline=5))
    assert "no Sentinel knows a master of that name. Correct what master_for was given" in str(failure)


@pytest.mark.parametrize("first", ["threads", "loop"])
def test_what_one_world_met_the_other_knows(
    monkeypatch: pytest.MonkeyPatch, proxy: FaultProxy, distant: Callable[..., RedisLink], first: str
) -> None:
    """A saver that answered `invoke` waits out an outage in `ainvoke`: it is one client."""
    link = distant(deadline=LONG)
    ping = [lambda: link.execute([("PING",)]), lambda: asyncio.run(link.aexecute([("PING",)]))]
    before, after = ping if first == "threads" else ping[::-1]
    before()
    for name in ("FIRST", "AT_FIRST"):
        monkeypatch.setattr(actions, name, 0.0)  # nothing is looked for a second time that was never there
    proxy.refuse()
    monkeypatch.setattr(delivery, "random", SimpleNamespace(uniform=lambda least, most: proxy.heal() or most))
    assert after() == [b"PONG"]


def failed(execute: Execute, link: RedisLink) -> StoreError:
    """What a first use ends in."""
    with pytest.raises(StoreError) as caught:
        execute(link, ("PING",))
    return caught.value


class Answering:
    """Says the same to whoever asks something, and hangs up when they do; at once, when it has nothing to say."""

    def __init__(self, words: bytes = b"") -> None:
        self._words = words
        self._listener = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                talk, _ = self._listener.accept()
            except OSError:
                return
            with talk:
                talk.settimeout(30)
                try:
                    talk.recv(1_000)
                    talk.sendall(self._words)
                    while self._words and talk.recv(1_000):
                        pass
                except OSError:
                    continue
