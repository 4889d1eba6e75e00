"""When an attempt that failed is made again, and after how long."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from langgraph_guard.errors import BudgetExceeded
from langgraph_guard.policies.retries import pause_before

NOW = 1_795_000_000.0


class APIConnectionError(Exception):
    """What the clients call a connection that failed."""


class APITimeoutError(APIConnectionError):
    """And an answer that did not come in time."""


def refused(status: int, **headers: str) -> Exception:
    """An error with a status, as the clients raise it."""
    error: Any = RuntimeError("scripted")
    error.status_code = status
    error.response = SimpleNamespace(headers={name.replace("_", "-"): value for name, value in headers.items()})
    return error


def pause(error: BaseException, attempt: int = 1, jitter: float = 0.0) -> float | None:
    """Seconds before `attempt`."""
    return pause_before(attempt, error, NOW, jitter)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """The list is the clients' own."""
    assert pause(refused(status)) == 0.5


@pytest.mark.parametrize("error", [APIConnectionError(), APITimeoutError()])
def test_what_did_not_arrive_is_tried_again(error: Exception) -> None:
    """Whether it was sent is for the ledger to judge, attempt by attempt."""
    assert pause(error) == 0.5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_would_fail_alike_is_not(status: int) -> None:
    """A wrong key does not get better."""
    assert pause(refused(status)) is None


@pytest.mark.parametrize(
    "error",
    [ValueError("?"), TimeoutError(), ConnectionResetError(), BudgetExceeded("usd", "session", 1, 1, 0, 1)],
)
def test_what_is_none_of_the_clients_errors_is_not(error: Exception) -> None:
    """Denials and our own time-outs least of all."""
    assert pause(error) is None


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (900, 8)])
def test_pauses_double_up_to_eight_seconds(attempt: int, seconds: float) -> None:
    """And workers that failed together do not come back together: up to a quarter is taken off."""
    assert pause(refused(500), attempt) == seconds
    assert pause(refused(500), attempt, jitter=1.0) == 0.75 * seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after": format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True)}, 30),
        ({"retry_after": format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True)}, 0.5),
        ({"retry_after": "0"}, 0.5),
        ({"retry_after": "-1"}, 0.5),
        ({"retry_after": "tomorrow"}, 0.5),
        ({"retry_after": "nan"}, 0.5),
        ({"retry_after": "120"}, 120),
        ({"retry_after": "121"}, None),
        ({"retry_after": "1e999"}, None),
    ],
)
def test_what_the_server_asks_for_is_done(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds or a date, up to two minutes; nonsense is as if nothing was said."""
    assert pause(refused(429, **headers)) == seconds


@pytest.mark.parametrize(
    ("status", "said", "again"), [(400, "true", True), (500, "false", False), (500, "maybe", True)]
)
def test_a_server_may_say_so_itself(status: int, said: str, again: bool) -> None:
    """`x-should-retry` has the last word, as it has with the clients."""
    assert (pause(refused(status, x_should_retry=said)) is not None) == again
