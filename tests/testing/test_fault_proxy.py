"""The proxy fails as it was told to, and counts what passed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from langgraph_guard.testing import FaultProxy

HOST = "127.0.0.1"


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """To a server that answers each request of four bytes with the same four bytes."""

    def answer(talk: socket.socket) -> None:
        with talk, suppress(OSError):
            while data := talk.recv(4):
                talk.sendall(data)

    def serve() -> None:
        while True:
            try:
                talk, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(talk,), daemon=True).start()

    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with FaultProxy(HOST, listener.getsockname()[1]) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def connect(proxy: FaultProxy) -> socket.socket:
    """A client, which is patient for long enough."""
    return socket.create_connection((HOST, proxy.port), timeout=10)


def ask(talk: socket.socket, data: bytes = b"ping") -> bytes:
    """One round trip."""
    talk.sendall(data)
    return all_of(talk, len(data))


def all_of(talk: socket.socket, size: int) -> bytes:
    """What arrives until the end, or until it is enough."""
    data = b""
    while len(data) < size and (piece := talk.recv(size - len(data))):
        data += piece
    return data


def test_it_is_transparent_and_counts(proxy: FaultProxy) -> None:
    """Three round trips on two connections."""
    with connect(proxy) as one, connect(proxy) as other:
        assert [ask(one), ask(other), ask(one)] == [b"ping"] * 3
    counted = proxy.connections, proxy.request_bytes, proxy.reply_bytes, proxy.round_trips
    assert counted == (2, 12, 12, 3)
    proxy.forget()
    assert (proxy.connections, proxy.request_bytes, proxy.reply_bytes, proxy.round_trips) == (0, 0, 0, 0)


def test_a_pipeline_is_one_round_trip(proxy: FaultProxy) -> None:
    """What is sent before the first reply belongs together."""
    with connect(proxy) as talk:
        assert ask(talk, b"ping" * 10_000) == b"ping" * 10_000
        proxy.forget()
        ask(talk)
    assert proxy.round_trips == 1


def test_refused_is_refused_until_it_heals(proxy: FaultProxy) -> None:
    """On the same port, and what was connected is cut."""
    with connect(proxy) as talk:
        ask(talk)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        with pytest.raises(ConnectionResetError):
            ask(talk)
    proxy.heal()
    with connect(proxy) as talk:
        assert ask(talk) == b"ping"


def test_a_blackhole_holds_back_and_says_nothing(proxy: FaultProxy) -> None:
    """Connections open as always; after it heals, what was held back arrives."""
    proxy.blackhole()
    with connect(proxy) as talk:
        talk.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ask(talk)
        proxy.heal()
        talk.settimeout(10)
        assert all_of(talk, 4) == b"ping"


def test_a_reset_breaks_what_is_connected_only(proxy: FaultProxy) -> None:
    """A load balancer that forgets its connections."""
    with connect(proxy) as old:
        ask(old)
        proxy.reset()
        with connect(proxy) as new:
            assert ask(new) == b"ping"
        with pytest.raises(ConnectionResetError):
            old.recv(1)


@pytest.mark.parametrize("size", range(5))
def test_a_reply_tears_at_the_byte(proxy: FaultProxy, size: int) -> None:
    """So many bytes arrive and then the end; the next connection works."""
    with connect(proxy) as talk:
        proxy.cut_after(size, "reply")
        assert ask(talk) == b"ping"[:size]
        assert talk.recv(1) == b""
    with connect(proxy) as talk:
        assert ask(talk) == b"ping"


@pytest.mark.parametrize("size", range(5))
def test_a_request_tears_at_the_byte(proxy: FaultProxy, size: int) -> None:
    """The server gets so many bytes; the client gets no reply to the rest."""
    with connect(proxy) as talk:
        proxy.cut_after(size, "request")
        assert ask(talk) == b""
    assert proxy.request_bytes == 4


def test_a_server_that_is_not_there_is_a_broken_connection() -> None:
    """The proxy listens; what is behind it does not. The reset may come before `connect` has returned."""
    with socket.socket() as ours:
        ours.bind((HOST, 0))
        with (
            FaultProxy(HOST, ours.getsockname()[1]) as proxy,
            pytest.raises(ConnectionResetError),
            connect(proxy) as talk,
        ):
            talk.recv(1)


def test_a_delay_keeps_the_order(proxy: FaultProxy) -> None:
    """Late, and otherwise the same."""
    with connect(proxy) as talk:
        proxy.delay(0.01)
        assert ask(talk, b"".join(b"%04d" % number for number in range(500)))[-8:] == b"04980499"
