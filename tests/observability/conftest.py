"""A receiver on loopback, and a Langfuse that sends to it: each test has a client of its own."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langfuse._client.resource_manager import LangfuseResourceManager
from opentelemetry.trace import get_tracer_provider

from langgraph_guard.events import listening
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse import private
from langgraph_guard.observability.setting_up import current, setup
from tests.servers.otlp import Receiver

_count = itertools.count()
SETTINGS = ("LANGFUSE_HOST", "LANGFUSE_SAMPLE_RATE", "LANGFUSE_TRACING_ENABLED", "OTEL_SDK_DISABLED")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def no_langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without keys; whatever the test sets up ends with it."""
    for name in (*SETTINGS, "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    _end()
    _stop_clients()


@pytest.fixture
def langfuse(no_langfuse: None, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[Receiver]:
    """A machine whose keys lead to the receiver."""
    point_at(receiver.url, monkeypatch)
    yield receiver
    receiver.fault = "up"
    receiver.released.set()
    # What a test left unsent would come to whoever gets the port next.
    _end(60.0 if os.environ["LANGFUSE_BASE_URL"] == receiver.url else 0.0)


def point_at(url: str, monkeypatch: pytest.MonkeyPatch, *, timeout: int = 60) -> str:
    """Set the keys of a project of this test's own; its public key."""
    key = f"pk-test-{os.getpid()}-{next(_count)}"
    for name, value in environment(url, key, timeout=timeout).items():
        monkeypatch.setenv(name, value)
    return key


def environment(url: str, key: str = "pk-test", *, timeout: int = 60) -> dict[str, str]:
    """`timeout`: seconds for a request: a busy machine may need many, and what is late is lost."""
    names = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_TIMEOUT")
    return dict(zip(names, (key, "sk-test", url, str(timeout)), strict=True))


@pytest.fixture
def seen(langfuse: Receiver) -> Callable[..., Observability]:
    """`setup`, for traces alone unless a test asks for more."""

    def listen(**settings: Any) -> Observability:
        return setup(**{"metrics": False, **settings})

    return listen


def somebody_listens() -> bool:
    """Apart from recorders that other tests dropped: those listen until they are collected, which may be any moment."""
    gc.collect()
    return listening()


def _stop_clients() -> None:
    """Each has four threads until the end of the process, two of which wake every second: hundreds by the last test."""
    clients = LangfuseResourceManager._instances
    while clients:
        _, client = clients.popitem()
        if client.tracer_provider is not get_tracer_provider():  # nobody can have another one of those
            threading.Thread(target=_stop, args=(client,), daemon=True).start()


def _stop(client: LangfuseResourceManager) -> None:
    private.end(client)
    for thread in (*client._media_upload_consumers, *client._score_consumers):
        thread.join()
    client.httpx_client.close()


def _end(timeout: float = 0.0) -> None:
    if (listening := current()) is not None:
        listening.close(timeout)
