"""What an exception says about trying again, in a sentence that a model may read.

The sentence has the kind of failure and the exception's class or status. An exception's own text is shown where it was
written to be shown: a `ToolException`, an error of this pack, the problems of a validation. Everywhere else it may
hold a password, a query string, somebody's data, or an instruction that a web page wants the model to follow.

An exception counts as what it was raised *from* when it says nothing itself; of a group, the worst member counts.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.tools import ToolException
from pydantic import ValidationError

from langgraph_guard.errors import CircuitOpen, GuardRuntimeError
from langgraph_guard.tools.results.advice import REPEATABLE, WAITS, ErrorType
from langgraph_guard.tools.results.shown import MOST_SHOWN, shown
from langgraph_guard.tools.results.statuses import LONGEST_WAIT, answer_of, attribute

DEEPEST: Final = 20
"""Causes that are looked through."""

MOST_MEMBERS: Final = 50
"""Of exception groups, nested ones included."""

MOST_PROBLEMS: Final = 4
"""Of a validation that failed: as many as fit, and as a model corrects at once."""

# By name, so that no client library is imported to ask; most of them agree on the names.
TIMEOUTS: Final = frozenset(
    {
        "APITimeoutError",  # openai, anthropic
        "DeadlineExceeded",  # google
        "QueryCanceled",  # psycopg: statement_timeout
        "Timeout",  # requests
        "TimeoutError",  # Python, asyncio, concurrent.futures, redis, sqlalchemy, playwright
        "TimeoutException",  # httpx, httpx2, selenium
        "TimeoutExpired",  # subprocess
        "ReadTimeoutError",  # botocore
        "ConnectTimeoutError",
    }
)
UNREACHED: Final = frozenset(
    {
        "APIConnectionError",  # openai, anthropic
        "ChunkedEncodingError",  # requests: the answer broke off
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",
        "ConnectionError",  # Python, requests, redis
        "EndpointConnectionError",  # botocore
        "IncompleteRead",  # http.client
        "IncompleteReadError",  # asyncio
        "NetworkError",  # httpx, httpx2
        "ProxyError",
        "RemoteProtocolError",
        "gaierror",  # socket: no such name, for now
        "herror",
    }
)
DISTRUSTED: Final = frozenset({"SSLCertVerificationError", "SSLError"})
CANCELLED: Final = frozenset({"CancelledError"})

_PASSING: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
    }
)

_OF_MODELS: Final[tuple[tuple[type[ModelError], ErrorType, str], ...]] = (
    (ModelRateLimitError, "rate_limit", "The model that the tool uses had too many requests"),
    (ModelTimeoutError, "timeout", "The model that the tool uses did not answer in time"),
    (ModelConnectionError, "transient", "The model that the tool uses could not be reached"),
    (ModelAPIError, "transient", "The model that the tool uses had an error"),
    (ContextOverflowError, "validation", "The input is too long for the model that the tool uses"),
    (ModelAuthenticationError, "permanent", "Not allowed: the model that the tool uses did not accept the credentials"),
    (ModelPermissionDeniedError, "permanent", "Not allowed: the model that the tool uses refused access"),
    (ModelNotFoundError, "permanent", "The model that the tool uses does not exist"),
    (ModelInvalidRequestError, "permanent", "The model that the tool uses refused the request"),
    (ModelError, "permanent", "The model that the tool uses failed"),
)

_WORST_FIRST: Final[tuple[ErrorType, ...]] = (
    "denied",
    "permanent",
    "validation",
    "timeout",
    "circuit_open",
    "transient",
    "rate_limit",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What kind of failure it was, in words, and whether the same call may help."""

    error_type: ErrorType
    message: str
    retry_safe: bool = False
    retry_after: float | None = None


def failure_of(error: BaseException, now: float | None = None) -> Failure:
    """What `error` says. `now` in epoch seconds, for servers that name a date. Never raises."""
    try:
        return _worst([_single(each, now) for each in _members(error)])
    except Exception:  # an exception that fights back
        return Failure("permanent", "The tool failed.")


def _single(error: BaseException, now: float | None) -> Failure:
    chain = [*_causes(error)]
    says = next((says for each in chain if (says := _of(each, chain, now))), None)
    failure = says or Failure("permanent", f"The tool failed ({_name(error)}).")
    told = next((text for each in chain if isinstance(each, ToolException) and (text := _text(each))), None)
    return replace(failure, message=told) if told and failure.error_type != "validation" else failure


def _of(error: BaseException, chain: list[BaseException], now: float | None) -> Failure | None:
    """The first that recognises `error` speaks for it."""
    if isinstance(error, GuardRuntimeError):
        return _of_guard(error)
    return (
        _invalid(error)
        or _of_answer(error, now)
        or _of_model(error)
        or next((failure for decide in _BY_NAME if (failure := decide(error, chain))), None)
        or _of_system(error)
    )


def _of_guard(error: GuardRuntimeError) -> Failure:
    """Our own errors quote no contents, so their text may be read."""
    kind: ErrorType = "circuit_open" if isinstance(error, CircuitOpen) else "denied"
    after = attribute(error, "retry_after")
    told = float(after) if type(after) in (int, float) and 0 <= after < float("inf") else None
    return Failure(kind, _text(error) or f"The call was refused ({_name(error)}).", False, told)


def _invalid(error: BaseException) -> Failure | None:
    """Arguments, or a reply, of the wrong form: where and why. The values stay out of it."""
    source: Any = error
    problems: Any = None
    if "ToolInvocationError" in _names(error):  # langgraph.prebuilt's, which quotes the arguments in its text
        source, problems = attribute(error, "source"), attribute(error, "filtered_errors")
    if problems is None and isinstance(source, ValidationError):
        problems = source.errors(include_url=False, include_context=False, include_input=False)
    if not isinstance(problems, list):
        return None
    told = "; ".join(_problem(each) for each in problems[:MOST_PROBLEMS])
    many = f" in {len(problems)} places" if len(problems) > MOST_PROBLEMS else ""
    return Failure("validation", shown(f"Not valid{many}: {told}"))


def _problem(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(step)[:40] for step in problem.get("loc", ())[:6])
    why = shown(str(problem.get("msg", "not valid")), 80)
    return f"{where}: {why}" if where else why


def _of_answer(error: BaseException, now: float | None) -> Failure | None:
    if (answer := answer_of(error)) is None:
        return None
    kind, what = answer.says()
    after = answer.retry_after(now) if kind in WAITS else None
    return Failure(kind, f"{what} (HTTP {answer.status}, {_name(error)}).", answer.repeatable(), after)


def _of_model(error: BaseException) -> Failure | None:
    for kind, error_type, what in _OF_MODELS:
        if isinstance(error, kind):
            return Failure(error_type, f"{what} ({_name(error)}).", error_type in REPEATABLE)
    return None


def _timed_out(error: BaseException, chain: list[BaseException]) -> Failure | None:
    if _names(error) & TIMEOUTS:
        return Failure("timeout", f"No answer came in time ({_name(error)}): nothing is known of the outcome.", True)
    return None


def _distrusted(error: BaseException, chain: list[BaseException]) -> Failure | None:
    """Clients report a certificate that fails as a connection that does. It fails again."""
    unreached = _names(error) & (UNREACHED | DISTRUSTED)
    if unreached and any(_names(each) & DISTRUSTED for each in chain):
        return Failure("permanent", f"The connection is not trusted ({_name(error)}).")
    return None


def _unreached(error: BaseException, chain: list[BaseException]) -> Failure | None:
    if _names(error) & UNREACHED:
        return Failure("transient", f"The service could not be reached ({_name(error)}).", True)
    return None


def _cancelled(error: BaseException, chain: list[BaseException]) -> Failure | None:
    if _names(error) & CANCELLED:
        return Failure("transient", f"The call was stopped before it ended ({_name(error)}).")
    return None


_BY_NAME: Final[tuple[Callable[[BaseException, list[BaseException]], Failure | None], ...]] = (
    _timed_out,
    _distrusted,
    _unreached,
    _cancelled,
)


def _of_system(error: BaseException) -> Failure | None:
    if isinstance(error, PermissionError):
        return Failure("permanent", f"Not allowed: the system refused access ({_name(error)}).")
    if isinstance(error, OSError) and error.errno in _PASSING:
        return Failure("transient", f"The system could not do it at the moment ({_name(error)}).", True)
    return None


def _worst(failures: list[Failure]) -> Failure:
    """A repetition repeats them all: it is as safe as the least safe, and waits for the last."""
    worst = min(failures, key=lambda failure: _WORST_FIRST.index(failure.error_type))
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    after = min(max(waits), LONGEST_WAIT) if waits and worst.error_type in WAITS else None
    return replace(worst, retry_safe=all(failure.retry_safe for failure in failures), retry_after=after)


def _members(error: BaseException) -> list[BaseException]:
    """The exceptions that a group is made of, or the one."""
    found: list[BaseException] = []
    waiting, seen = [error], set[int]()
    while waiting and len(found) < MOST_MEMBERS and len(seen) < 4 * MOST_MEMBERS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        members = attribute(each, "exceptions") if isinstance(each, BaseExceptionGroup) else None
        if members:
            waiting += list(members)[:MOST_MEMBERS]
        else:
            found.append(each)
    return found or [error]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from: its cause, or the `reason` of urllib's and urllib3's."""
    seen: set[int] = set()
    each: object = error
    while isinstance(each, BaseException) and id(each) not in seen and len(seen) < DEEPEST:
        seen.add(id(each))
        yield each
        reason = attribute(each, "reason")
        each = each.__cause__ or (reason if isinstance(reason, BaseException) else None)


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _name(error: BaseException) -> str:
    return shown(type(error).__name__, 60) or "Exception"


def _text(error: BaseException) -> str:
    try:
        return shown(str(error), MOST_SHOWN)
    except Exception:
        return ""
