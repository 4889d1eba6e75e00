"""What an HTTP answer says about trying again: its status, and when to come back.

| status                  | error_type   | because                                                          |
|-------------------------|--------------|------------------------------------------------------------------|
| 400, 413, 414, 416, 422 | `validation` | only other arguments can change the answer                       |
| 401, 402, 403, 404, 410 | `permanent`  | so are the other 4xx: the same call is refused again             |
| 409, 412                | `permanent`  | what it is about has changed: it must be read again first        |
| 408, 504, 522, 524      | `timeout`    | somebody gave up waiting; the work may have been done            |
| 423, 425                | `transient`  | locked, or too early                                             |
| 429                     | `rate_limit` | as is a 403 that says when to come back, which is GitHub's way   |
| 501, 505                | `permanent`  | the server cannot do it                                          |
| the other 5xx           | `transient`  |                                                                  |

A used-up quota (OpenAI's `insufficient_quota`) comes as a 429 and is permanent: waiting does not fill it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard

from langgraph_guard.tools.results.advice import REPEATABLE, ErrorType

LONGEST_WAIT: Final = 86_400.0
"""Seconds. Who says to come back later than tomorrow is taken to mean tomorrow."""

_SAYS: Final[Mapping[int, tuple[ErrorType, str]]] = {
    400: ("validation", "The service refused the arguments"),
    401: ("permanent", "Not allowed: the service did not accept the credentials"),
    402: ("permanent", "Not allowed: the service wants to be paid"),
    403: ("permanent", "Not allowed: the service refused access"),
    404: ("permanent", "The service does not have what was asked for"),
    407: ("permanent", "Not allowed: a proxy did not accept the credentials"),
    408: ("timeout", "The service gave up waiting"),
    409: ("permanent", "In conflict with the present state of what it is about"),
    410: ("permanent", "What was asked for is gone"),
    412: ("permanent", "What it is about has changed in the meantime"),
    413: ("validation", "The arguments are too large for the service"),
    414: ("validation", "The arguments are too large for the service"),
    416: ("validation", "The service has no such range"),
    422: ("validation", "The service refused the arguments"),
    423: ("transient", "What it is about is locked at the moment"),
    425: ("transient", "Too early for the service"),
    429: ("rate_limit", "The service had too many requests"),
    451: ("permanent", "Not allowed: the service refused access for legal reasons"),
    501: ("permanent", "The service cannot do this"),
    504: ("timeout", "The service got no answer in time from behind it"),
    505: ("permanent", "The service cannot do this"),
    522: ("timeout", "The service got no answer in time from behind it"),
    524: ("timeout", "The service got no answer in time from behind it"),
}

_LIMITED: Final = _SAYS[429]
_USED_UP: Final[tuple[ErrorType, str]] = ("permanent", "The quota at the service is used up")

# Where libraries keep the status that do not call it `status_code`. Elsewhere these names mean something else.
_STATUS_OF: Final = {"aiohttp": "status", "google": "code", "urllib": "code"}

_RESETS: Final = ("ratelimit-reset", "x-ratelimit-reset")
_AN_INSTANT: Final = 1e9
"""A reset that is larger is no number of seconds to wait but an instant, in epoch seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exception knows of the HTTP answer that it stands for."""

    status: int
    headers: Any = None
    code: str = ""

    def says(self) -> tuple[ErrorType, str]:
        if self.status == 429 and self.code == "insufficient_quota":
            return _USED_UP
        if self.status == 403 and (self.header("retry-after") or self.header("x-ratelimit-remaining") == "0"):
            return _LIMITED
        if known := _SAYS.get(self.status):
            return known
        if self.status >= 500:
            return "transient", "The service had an error"
        return "permanent", "The service refused the call"

    def repeatable(self) -> bool:
        """Whether the same request may succeed. OpenAI's and Anthropic's servers say so themselves."""
        return self.says()[0] in REPEATABLE and self.header("x-should-retry") != "false"

    def retry_after(self, now: float | None) -> float | None:
        """Seconds to wait, if the answer says: in ms, in seconds, by a date, or by when the limit starts afresh.

        A date counts from `now`, else from the answer's own date, whose clock it is; without either it says nothing.
        """
        since = now if now is not None else _instant(self.header("date"))
        waits = [_scaled(self.header("retry-after-ms"), 0.001), _wait(self.header("retry-after"), since)]
        if self.says() == _LIMITED:
            waits += [_wait(self.header(name), since) for name in _RESETS]
        return next((min(max(wait, 0.0), LONGEST_WAIT) for wait in waits if wait is not None), None)

    def header(self, name: str) -> str | None:
        """Clients' own header objects ignore case; plain dicts are lower case as a rule, or as in the standard."""
        for spelling in (name, name.title()):
            with suppress(Exception):
                if isinstance(value := self.headers.get(spelling), str):
                    return value.strip()
        return None


def answer_of(error: BaseException) -> Answer | None:
    """The HTTP answer that `error` reports, whatever client raised it; None when it reports none."""
    response = attribute(error, "response")
    of_library = _STATUS_OF.get(type(error).__module__.partition(".")[0], "status_code")
    told = (
        attribute(error, "status_code"),
        attribute(error, of_library),
        attribute(response, "status_code"),
        attribute(response, "status"),
    )
    if (status := next((int(each) for each in told if _is_status(each)), None)) is None:
        return _of_boto(response)
    headers, code = attribute(response, "headers"), attribute(error, "code")
    return Answer(
        status, attribute(error, "headers") if headers is None else headers, code if type(code) is str else ""
    )


def attribute(thing: object, name: str) -> Any:
    """`thing.name`, or None: a stranger's property may raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _of_boto(response: object) -> Answer | None:
    """botocore's `ClientError.response` is a dict."""
    meta = response.get("ResponseMetadata") if type(response) is dict else None
    if type(meta) is dict and _is_status(status := meta.get("HTTPStatusCode")):
        return Answer(int(status), meta.get("HTTPHeaders"))
    return None


def _is_status(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _wait(said: str | None, since: float | None) -> float | None:
    seconds = _scaled(said, 1.0)
    at = _instant(said) if seconds is None else seconds if seconds > _AN_INSTANT else None
    if at is None:
        return seconds
    return at - since if since is not None else None


def _scaled(said: str | None, unit: float) -> float | None:
    try:
        number = float(said or "") * unit
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _instant(said: str | None) -> float | None:
    try:
        return parsedate_to_datetime(said or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
