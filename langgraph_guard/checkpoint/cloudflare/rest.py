"""Workers KV over its REST API: requests to send, and what responses mean. Pure; `rest_transport.py` has the sockets.

Only what the real service, its local simulator and a gateway Worker all understand is used: lists of keys, bulk writes,
reads and deletions, and the raw value for one that no bulk read can carry. Single writes are left out on purpose: one
that carries an expiry loses it on the simulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx

from langgraph_guard.checkpoint.cloudflare.transport import Listed, Lost, Page, Pair, Refused, Throttled
from langgraph_guard.errors import ConfigError

CLOUDFLARE: Final = "https://api.cloudflare.com/client/v4"

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")

NOT_FOUND: Final = 10009
DAILY: Final = 10048

_REASONS: Final = {
    401: "the API token is missing, wrong or expired (HTTP 401)",
    403: "the API token may not do this: it needs Workers KV Storage Edit on this account (HTTP 403)",
    404: "there is no such account or namespace (HTTP 404)",
    413: "the request is too large (HTTP 413)",
    414: "a key is longer than 512 bytes (HTTP 414)",
}


@dataclass(frozen=True)
class Address:
    """A namespace, and who asks. `account_id` `None` leaves that part of the path out, as the simulator has it."""

    namespace_id: str
    account_id: str | None = None
    api_token: str | None = field(default=None, repr=False)
    base_url: str = CLOUDFLARE

    def __post_init__(self) -> None:
        for name, value in (("namespace_id", self.namespace_id), ("account_id", self.account_id)):
            if (name == "namespace_id" or value is not None) and not _is_id(value):
                raise ConfigError(name, f"must match {_ID.pattern}")
        if self.api_token is not None and not (isinstance(self.api_token, str) and _is_token(self.api_token)):
            raise ConfigError("api_token", "is empty, or has characters that no HTTP header can carry")
        if not isinstance(self.base_url, str) or not _is_url(self.base_url):
            raise ConfigError("base_url", "must be like https://host/path, without a user, query or fragment")

    @classmethod
    def of_url(cls, url: str, api_token: str | None) -> Address:
        """Of a namespace's URL, as the REST API has it."""
        found = re.fullmatch(
            r"(?P<base>https?://[^\s?#@]+?)(/accounts/(?P<account>[^/]+))?/storage/kv/namespaces/(?P<ns>[^/]+)/?",
            str(url),
        )
        if found is None:
            raise ConfigError("url", "must be like https://…/accounts/<id>/storage/kv/namespaces/<id>")
        return cls(found["ns"], found["account"], api_token, found["base"])

    @property
    def url(self) -> str:
        account = "" if self.account_id is None else f"/accounts/{self.account_id}"
        return f"{self.base_url.rstrip('/')}{account}/storage/kv/namespaces/{self.namespace_id}"

    @property
    def is_https(self) -> bool:
        """Whether certificates are checked: without TLS, loading them only takes time."""
        return self.base_url.startswith("https:")

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.api_token is None else {"Authorization": f"Bearer {self.api_token}"}


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_url(text: str) -> bool:
    try:
        return re.fullmatch(r"https?://[^\s?#@]+", text) is not None and bool(httpx.URL(text).host)
    except (httpx.InvalidURL, UnicodeError):
        return False


def _is_token(value: str) -> bool:
    return re.fullmatch(r"[!-~]+", value) is not None


# What is sent: method, path below the namespace, and httpx's terms


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, but for where it goes."""

    method: str
    path: str
    terms: Mapping[str, Any] = field(default_factory=dict)


def list_keys(prefix: str, limit: int, cursor: str) -> Sent:
    return Sent(
        "GET", "/keys", {"params": {"prefix": prefix, "limit": limit, **({"cursor": cursor} if cursor else {})}}
    )


def get_many(keys: Sequence[str]) -> Sent:
    return Sent("POST", "/bulk/get", _json({"keys": [*keys], "type": "text"}))


def get_one(key: str) -> Sent:
    return Sent("GET", f"/values/{quote(key, safe='')}")


def put_many(pairs: Sequence[Pair]) -> Sent:
    return Sent("PUT", "/bulk", _json([_pair(pair) for pair in pairs]))


def delete_many(keys: Sequence[str]) -> Sent:
    return Sent("POST", "/bulk/delete", _json([*keys]))


def _pair(pair: Pair) -> dict[str, Any]:
    told: dict[str, Any] = {"key": pair.key, "value": pair.value}
    if pair.metadata is not None:
        told["metadata"] = pair.metadata
    if pair.ttl is not None:
        told["expiration_ttl"] = pair.ttl
    return told


def _json(content: Any) -> dict[str, Any]:
    return {"content": json.dumps(content).encode(), "headers": {"Content-Type": "application/json"}}


# What comes back


def page(response: httpx.Response) -> Page:
    told = _told(response)
    with _in_the_apis_form():
        keys = [Listed(_checked(each["name"]), each.get("metadata"), each.get("expiration")) for each in told["result"]]
        return Page(keys, _checked((told.get("result_info") or {}).get("cursor") or ""))


def values(response: httpx.Response, keys: Sequence[str]) -> dict[str, str | None]:
    told = _told(response)
    with _in_the_apis_form():
        return {key: _text(told["result"]["values"].get(key)) for key in keys}


def value(response: httpx.Response) -> str | None:
    if response.status_code == httpx.codes.NOT_FOUND and NOT_FOUND in _codes(response):
        return None
    _check(response)
    return response.text


def undone(response: httpx.Response) -> list[str]:
    """The keys of a bulk request that failed: a success may name some."""
    result = _told(response).get("result") or {}
    with _in_the_apis_form():
        return [_checked(key) for key in result.get("unsuccessful_keys") or ()] if isinstance(result, dict) else []


def lost(error: httpx.HTTPError) -> Lost:
    """For an exchange that did not end with a response. The text of the driver's error may name hosts: left out."""
    return Lost(f"no response ({type(error).__name__})")


def _text(found: Any) -> str | None:
    """A value, also where the server tells its metadata along."""
    value = found.get("value") if isinstance(found, dict) else found
    return None if value is None else _checked(value)


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text


@contextmanager
def _in_the_apis_form() -> Iterator[None]:
    """What answers may be another server, and its answer JSON."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise Refused("the answer does not have the form of Cloudflare's API") from error


def _told(response: httpx.Response) -> dict[str, Any]:
    _check(response)
    try:
        told = response.json()
    except ValueError as error:
        raise Lost("the answer is not JSON", answered=True) from error
    if not isinstance(told, dict) or not told.get("success") or "result" not in told:
        raise _refusal(response)
    return told


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    codes = _codes(response)
    if DAILY in codes:
        raise Throttled("the plan's limit for today is used up", daily=True)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Throttled("too many requests (HTTP 429)", _retry_after(response))
    if response.status_code == httpx.codes.REQUEST_TIMEOUT or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Lost(f"HTTP {response.status_code}")
    raise _refusal(response)


def _refusal(response: httpx.Response) -> Refused:
    """The status and Cloudflare's codes. Their text may quote keys, and keys hold thread ids."""
    status, codes = response.status_code, _codes(response)
    reason = _REASONS.get(status, f"it answered HTTP {status}")
    told = ", ".join(map(str, codes))
    return Refused(f"{reason}, code {told}" if told else reason, status, codes)


def _codes(response: httpx.Response) -> list[int]:
    with suppress(ValueError, AttributeError, KeyError, TypeError):
        return [each["code"] for each in response.json()["errors"] if isinstance(each.get("code"), int)]
    return []


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; the form with a date is not used by Cloudflare."""
    told = response.headers.get("retry-after", "")
    return float(told) if re.fullmatch(r"\d{1,6}(\.\d+)?", told) else None
