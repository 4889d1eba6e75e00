"""What a server of Workers KV's REST API is asked and answers, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

NOT_FOUND: Final = 10009
INVALID: Final = 10001
UNAUTHENTICATED: Final = 10000
NO_NAMESPACE: Final = 10013
NO_ROUTE: Final = 7003
TOO_FAST: Final = 971
DAILY: Final = 10048

_PATH: Final = re.compile(
    r"(?:/accounts/(?P<account>[^/]+))?/storage/kv/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<call>keys|bulk/get|bulk/delete|bulk|(?:values|metadata)/(?P<key>.+))"
)


@dataclass(frozen=True)
class Asked:
    """A request. `call`: method and path below the namespace without the key, like `PUT bulk` or `GET values`."""

    call: str
    account: str | None
    namespace: str
    key: str | None
    query: Mapping[str, str]
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Self:
        """`target`: path and query. Raises `Refusal` for what is no call of the API."""
        url = urlsplit(target)
        if (found := _PATH.fullmatch(url.path)) is None:
            raise Refusal(404, NO_ROUTE, f"Could not route to {url.path[:100]}")
        key = found["key"]
        call = found["call"] if key is None else found["call"].partition("/")[0]
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        names = {name.lower(): value for name, value in headers.items()}
        namespace = unquote(found["namespace"])
        return cls(
            f"{method} {call}", found["account"], namespace, None if key is None else unquote(key), query, body, names
        )

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise invalid("not JSON") from None

    @property
    def token(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Refusal(Exception):
    """An answer that says no."""

    status: int
    code: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Answer:
        return _envelope(self.status, False, None, [{"code": self.code, "message": self.message}], self.headers)


def invalid(message: str) -> Refusal:
    """What the API says to a request that it cannot take."""
    return Refusal(400, INVALID, message)


def success(result: Any, **more: Any) -> Answer:
    """`more`: beside the result, like `result_info`."""
    return _envelope(200, True, result, [], {}, **more)


def done(count: int, failed: Sequence[str]) -> Answer:
    """The answer to a bulk write or deletion."""
    return success({"successful_key_count": count - len(failed), "unsuccessful_keys": [*failed]})


def _envelope(
    status: int, success: bool, result: Any, errors: list[Any], headers: Mapping[str, str], **more: Any
) -> Answer:
    body = {"success": success, "errors": errors, "messages": [], "result": result, **more}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json", **headers})
