"""What a failed model call cost. Released only when nothing was billed for certain, charged in full otherwise.

| what happened                                   | what the ledger does            |
|-------------------------------------------------|---------------------------------|
| an answer with usage                            | settle at the usage             |
| an answer from a cache                          | release                         |
| an answer without usage, or with broken figures | settle at the reservation       |
| never sent: no route, refused, no connection    | release                         |
| refused by the provider (HTTP 4xx)              | release                         |
| a tool that waits for a person and runs again   | release                         |
| time-out, 5xx, cut stream, cancelled, unknown   | settle at the reservation       |
| the worker died                                 | charged when its lease ends     |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from langgraph_guard.errors import GuardRuntimeError

Outcome = Literal["answered", "cached", "unmeasured", "not_sent", "refused", "uncertain", "interrupted"]

# By name, so that no client library is imported to ask. Each is raised before a request leaves the machine.
NOT_SENT: Final = frozenset(
    {
        "builtins.ConnectionRefusedError",
        "socket.gaierror",
        "httpx.ConnectError",
        "httpx.ConnectTimeout",
        "httpx.PoolTimeout",
        "httpx.UnsupportedProtocol",
        "httpx.LocalProtocolError",
        "requests.exceptions.ConnectTimeout",
        "requests.exceptions.InvalidURL",
        "requests.exceptions.MissingSchema",
        "urllib3.exceptions.NewConnectionError",
    }
)

# The client gave up waiting, or the server found the request half-read: it may have been worked on.
UNCLEAR_STATUS: Final = frozenset({408, 409, 499})


def outcome_of(error: BaseException) -> Outcome:
    """How a call that ended with `error` is closed."""
    for each in _chain(error):
        if (status := status_of(each)) is not None:
            return "refused" if 400 <= status < 500 and status not in UNCLEAR_STATUS else "uncertain"
        if isinstance(each, GuardRuntimeError) or _names(each) & NOT_SENT:
            return "not_sent"
    return "uncertain"


def status_of(error: BaseException) -> int | None:
    """The HTTP status that `error` reports."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _names(error: BaseException) -> set[str]:
    return {f"{_public(kind.__module__)}.{kind.__qualname__}" for kind in type(error).__mro__}


def _public(module: str) -> str:
    # httpx2 is what newer OpenAI and Anthropic clients speak: the same errors under another name.
    return "httpx" if module.partition(".")[0] in {"httpx", "httpx2"} else module


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from. What it was raised *during* proves nothing about this request."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__
