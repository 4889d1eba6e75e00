"""What is sent to somebody, and what of it is lost: counted, and told once for each cause.

The libraries that send tell it for every batch, all night long. While they work for us, nobody hears them but `heard`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from langgraph_guard.forks import Lock

What = Literal["spans", "scores", "media"]

LIBRARIES: Final = (
    "langfuse",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""The loggers of those who send: each logs at the name of one of its modules."""

SAYS: Final[Mapping[int, str]] = {
    400: "it does not understand what is sent",
    401: "the keys are wrong",
    403: "the keys are not allowed to write",
    404: "nothing is taken at this address",
    413: "it is too much at once",
    429: "it is too often",
}
UNREACHABLE: Final = "it cannot be reached"
PHRASES: Final = {status.phrase: status.value for status in HTTPStatus}

_log = logging.getLogger(__name__)


class Delivery:
    """All that goes to one service. `address`: where that is, of which a host and a port are shown."""

    def __init__(self, service: str, address: str | None = None) -> None:
        self.name = f"{service} at {place(address)}" if address else service
        self._lock = Lock()
        self._lost: Counter[What] = Counter()
        self._told: set[str] = set()
        for library in LIBRARIES:
            logging.getLogger(library).addFilter(_overhears)

    def lost(self, what: What, count: int, why: object) -> None:
        """So much did not arrive. `why`: a status, an exception, or words."""
        cause = cause_of(why)
        with self._lock:
            self._lost[what] += count
            total = self._lost[what]
            first = cause not in self._told
            self._told.add(cause)
        if first:
            _log.warning("%s are lost: %s (%s); more of them are counted, not told", what, self.name, cause)
        else:
            _log.debug("%d %s are lost by now: %s (%s)", total, what, self.name, cause)

    def dropped(self, what: What) -> int:
        return self._lost[what]


def place(address: str) -> str:
    """The scheme, the host and the port of an address: the rest of it may be a secret."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def cause_of(why: object) -> str:
    """A few words, of which there are few: never the text of an exception, which quotes addresses."""
    if isinstance(why, int):
        return f"{why}: {SAYS.get(why, 'it fails' if why >= 500 else 'it refuses')}"
    if not isinstance(why, BaseException):
        return str(why or "it refuses")
    name, library = type(why).__name__, type(why).__module__.partition(".")[0]
    return UNREACHABLE if isinstance(why, OSError) or library in ("httpx", "requests") else name


@dataclass(slots=True)
class Heard:
    """What libraries logged while they sent: the arguments of each warning and error."""

    said: list[Any] = field(default_factory=list)

    @property
    def why(self) -> object:
        """The last status or exception among them; where there is none, it was tried until it was too late."""
        causes = [_status(each) for said in self.said if isinstance(said, tuple) for each in said]
        return next((cause for cause in reversed(causes) if cause is not None), UNREACHABLE if self.said else None)


def _status(said: object) -> object:
    status = PHRASES.get(said) if isinstance(said, str) else said
    is_cause = isinstance(status, BaseException) or (isinstance(status, int) and 400 <= status < 600)
    return status if is_cause else None


_listening: ContextVar[Heard | None] = ContextVar("langgraph_guard_delivery", default=None)


@contextmanager
def heard() -> Iterator[Heard]:
    """Within, warnings and errors of `LIBRARIES` are heard here and nowhere else. Other threads log as they do."""
    said = Heard()
    token = _listening.set(said)
    try:
        yield said
    finally:
        _listening.reset(token)


class _Overhears(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = _listening.get()
        if said is None or record.levelno < logging.WARNING:
            return True
        said.said.append(record.args)
        return False


_overhears: Final = _Overhears()
