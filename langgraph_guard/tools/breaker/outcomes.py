"""What the end of a call says about the service behind it.

| what happened                                               | outcome                                        |
|-------------------------------------------------------------|------------------------------------------------|
| an interrupt, cancellation, Ctrl-C, an error of this pack   | cancelled: the service was not asked, or not heard |
| no answer in time, no connection, HTTP 408 and 5xx          | failure                                        |
| HTTP 429; 503 and others that say when to come back         | rate limited, until then                       |
| HTTP 4xx, wrong credentials, wrong arguments                | ignored: the caller's fault                    |
| any other exception                                         | failure                                        |
| a `ToolResult` that is an error                             | by its `error_type`                            |
| anything else that was returned                             | success                                        |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Final, cast

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
from langgraph.errors import GraphBubbleUp

from langgraph_guard.errors import GuardRuntimeError
from langgraph_guard.policies.breaker.circuit import CANCELLED, FAILURE, IGNORED, SUCCESS, Outcome, rate_limited
from langgraph_guard.tools.results.failures import failure_of
from langgraph_guard.tools.results.statuses import answer_of

_NOT_ASKED: Final = (GraphBubbleUp, GuardRuntimeError, CancelledError)

# Nothing is wrong with a service that was asked for the wrong thing, or was not asked at all.
_CALLERS: Final = (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
_CALLERS_BY_NAME: Final = frozenset({"InvalidSchema", "InvalidURL", "MissingSchema", "UnsupportedProtocol"})

# A service that answers rubbish, or cannot be trusted, raises these; Python calls them errors of a value.
_SERVICES: Final = (OSError, json.JSONDecodeError)

_RESULTS: Final[Mapping[str, Outcome]] = {
    "transient": FAILURE,
    "timeout": FAILURE,
    "permanent": IGNORED,
    "validation": IGNORED,
    "circuit_open": IGNORED,
    "denied": IGNORED,
}


def is_cancelled(error: BaseException) -> bool:
    """Whether `error` says nothing of the service, because the call did not end, or was not made."""
    kind = type(error)  # `isinstance` would ask the object as well, and a stranger's may answer with anything
    if issubclass(kind, BaseExceptionGroup):
        return any(is_cancelled(each) for each in cast(BaseExceptionGroup[BaseException], error).exceptions)
    return issubclass(kind, _NOT_ASKED) or not issubclass(kind, Exception)


def outcome_of(ended: object, now: float | None = None) -> Outcome:
    """The outcome of a call that ended with an exception, or with what it returned.

    `now` in epoch seconds, for servers that name a date to come back at. Never raises.
    """
    if not isinstance(ended, BaseException):
        return _of_result(ended)
    if is_cancelled(ended):
        return CANCELLED
    try:
        return _of_error(ended, now)
    except Exception:  # an exception that fights back
        return FAILURE


def _of_error(error: BaseException, now: float | None) -> Outcome:
    failure = failure_of(error, now)
    if failure.error_type == "rate_limit":
        return rate_limited(failure.retry_after)
    if failure.error_type in ("transient", "timeout"):
        return FAILURE if failure.retry_after is None else rate_limited(failure.retry_after)
    if failure.error_type == "permanent":
        return IGNORED if _is_callers_fault(error) else FAILURE
    return IGNORED


def _of_result(result: object) -> Outcome:
    kind = getattr(result, "error_type", None)
    if kind == "rate_limit":
        after = getattr(result, "retry_after", None)
        return rate_limited(after if isinstance(after, int | float) else None)
    return _RESULTS.get(kind, SUCCESS) if isinstance(kind, str) else SUCCESS


def _is_callers_fault(error: BaseException) -> bool:
    """Whether an error that would come again would come because of what was asked."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_callers_fault(each) for each in error.exceptions)
    for each in _causes(error):
        if (answer := answer_of(each)) is not None:
            return answer.status < 500 and answer.status != 429  # a used-up quota
    if isinstance(error, _CALLERS) or _CALLERS_BY_NAME & {kind.__name__ for kind in type(error).__mro__}:
        return True
    return isinstance(error, ValueError) and not isinstance(error, _SERVICES)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__
