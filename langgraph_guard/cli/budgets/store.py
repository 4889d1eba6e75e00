"""The backend that is looked at, as its workers share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from langgraph_guard.backends.local import FallbackLedger
from langgraph_guard.backends.protocols import Backend, BudgetLedger
from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.ledger import Command


class Place(NamedTuple):
    """Where accounts are: on a server, or in a file."""

    url: str | None
    sqlite: str | None
    tenant: str
    prefix: str
    slots: str


@contextmanager
def opened(place: Place) -> Iterator[Backend]:
    """Raises `ConfigError` for a place that cannot be it."""
    with _redis(place) if place.sqlite is None else _sqlite(place.sqlite, place.tenant) as backend:
        yield backend


def shared(backend: Backend) -> BudgetLedger:
    """The ledger that is shared: what a person reads or does must not be answered by this process alone."""
    ledger = backend.ledger
    return ledger.inner if isinstance(ledger, FallbackLedger) else ledger


def ask(backend: Backend, commands: Sequence[Command]) -> list[Any]:
    return cast(list[Any], shared(backend).execute(commands))


def _redis(place: Place) -> Any:
    from langgraph_guard.backends.redis import RedisBackend

    # A wrong prefix must not leave an empty ledger that looks like good news.
    terms: dict[str, Any] = {"prefix": place.prefix, "slots": place.slots, "create": False}
    return RedisBackend.from_url(place.url or "", tenant=place.tenant, **terms)


def _sqlite(path: str, tenant: str) -> Any:
    from langgraph_guard.backends.sqlite import SqliteBackend

    if not Path(path).is_file():
        raise ConfigError("sqlite", "no such file")
    return SqliteBackend(path, tenant=tenant)
