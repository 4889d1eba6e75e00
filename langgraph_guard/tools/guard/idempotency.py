"""The key that a tool may give to a service, so that the service makes an effect once however often it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

_key: ContextVar[str | None] = ContextVar("idempotency_key", default=None)


def idempotency_key() -> str | None:
    """Inside a tool: a key that is the same at every attempt at this call, and another for every other call.

    `None` where the call has no side effects, or the guard around it no outbox.
    """
    return _key.get()


@contextmanager
def offered(key: str | None) -> Iterator[None]:
    token = _key.set(key)
    try:
        yield
    finally:
        with suppress(ValueError):  # the garbage collector ends an abandoned call wherever it happens to be
            _key.reset(token)
