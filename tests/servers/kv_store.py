"""Workers KV in memory: its calls and its limits, on a clock of the test. What it gets wrong at will is `Weather`.

It is no authority: `test_kv_calls.py` holds it to the same tests as Cloudflare's own simulator.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.servers.kv_wire import NOT_FOUND, Answer, Asked, Refusal, done, invalid, success

MIB: Final = 1024 * 1024
KEY_BYTES: Final = 512
VALUE_BYTES: Final = 25 * MIB
METADATA_BYTES: Final = 1_024
BULK_BYTES: Final = 100_000_000
BULK_KEYS: Final = 10_000
GET_KEYS: Final = 100
LEAST_TTL: Final = 60


class Clock(Protocol):
    """What tells the time: `FakeClock`, or that of the machine."""

    def now(self) -> float: ...


@dataclass
class Weather:
    """How far from a plain dictionary the store is. Seconds; what is 0 does not happen.

    `lag`: until a write or a deletion is seen. `negative`: for how long a miss is remembered by reads, not by lists.
    `hot`: between two writes to one key. `empty_pages`: pages without a key at the beginning of each listing.
    """

    lag: float = 0.0
    negative: float = 0.0
    hot: float = 0.0
    empty_pages: int = 0


@dataclass(frozen=True)
class Entry:
    """What a key holds. `expiration`: seconds since 1970."""

    value: bytes
    metadata: Any = None
    expiration: int | None = None


@dataclass
class _Key:
    """The history of one key: moments, and what was written then; `None` is a deletion."""

    versions: list[tuple[float, Entry | None]] = field(default_factory=list)
    missed_until: float = 0.0

    def at(self, moment: float) -> Entry | None:
        return next((entry for written, entry in reversed(self.versions) if written <= moment), None)


class KVStore:
    """Namespaces of keys. Answers one request after the other."""

    def __init__(self, clock: Clock, weather: Weather) -> None:
        self.weather = weather
        self._clock = clock
        self._keys: dict[str, dict[str, _Key]] = {}
        self._unlucky: dict[str, int] = {}
        self._lock = threading.Lock()
        self._calls: dict[str, Callable[[Asked], Answer]] = {
            "GET keys": self._list,
            "PUT bulk": self._bulk_put,
            "POST bulk/get": self._bulk_get,
            "POST bulk/delete": self._bulk_delete,
            "GET values": self._get,
            "PUT values": self._put,
            "DELETE values": self._delete,
            "GET metadata": self._metadata,
        }

    def answer(self, asked: Asked) -> Answer:
        """Raises `Refusal`."""
        if (call := self._calls.get(asked.call)) is None:
            raise Refusal(405, 10405, f"{asked.call} is no call of the API")
        with self._lock:
            return call(asked)

    def refuse(self, part: str, times: int = 1) -> None:
        """Bulk calls leave out keys that contain `part`, so many times."""
        self._unlucky[part] = times

    def names(self, namespace: str) -> list[str]:
        """What is there, seen or not yet."""
        return sorted(name for name, key in self._keys.get(namespace, {}).items() if self._alive(key.at(self._now)))

    # Calls

    def _list(self, asked: Asked) -> Answer:
        limit, prefix = _limit(asked.query.get("limit")), asked.query.get("prefix", "")
        empty, after = _cursor(asked.query.get("cursor", ""))
        if empty < self.weather.empty_pages:
            return success([], result_info={"count": 0, "cursor": _to_cursor(empty + 1, after)})
        keys = self._space(asked)
        found = sorted(name for name in keys if name.startswith(prefix) and name > after)
        shown = [(name, entry) for name in found if (entry := self._visible(keys[name]))]
        page = [_listed(name, entry) for name, entry in shown[:limit]]
        cursor = _to_cursor(empty, shown[limit - 1][0]) if len(shown) > limit else ""
        return success(page, result_info={"count": len(page), "cursor": cursor})

    def _get(self, asked: Asked) -> Answer:
        entry = self._found(asked)
        expires = {"expiration": str(entry.expiration)} if entry.expiration else {}
        return Answer(200, entry.value, {"content-type": "application/octet-stream", **expires})

    def _metadata(self, asked: Asked) -> Answer:
        return success(self._found(asked).metadata)

    def _bulk_get(self, asked: Asked) -> Answer:
        body = asked.json
        keys = _array(body.get("keys") if isinstance(body, dict) else None, GET_KEYS)
        if not keys:
            raise invalid("You must request a minimum of 1 key")
        found = {key: self._read(asked, _key(key)) for key in keys}
        if sum(len(entry.value) for entry in found.values() if entry) > VALUE_BYTES:
            raise Refusal(413, 10000, "Total size of request exceeds the limit of 25MB")
        show = _with_metadata if body.get("withMetadata") else _text
        return success({"values": {key: entry and show(entry) for key, entry in found.items()}})

    def _put(self, asked: Asked) -> Answer:
        terms = {name: int(asked.query[name]) for name in ("expiration", "expiration_ttl") if name in asked.query}
        entry = self._entry(asked.body, terms)
        if not self._write(asked, [(_key(asked.key), entry)]):
            return success({})
        raise Refusal(429, 10000, "Too many writes to this key")

    def _bulk_put(self, asked: Asked) -> Answer:
        if len(asked.body) > BULK_BYTES:
            raise Refusal(413, 10001, f"Body length of {len(asked.body)} exceeds limit of {BULK_BYTES}.")
        pairs: dict[str, Any] = {}
        for pair in _array(asked.json, BULK_KEYS):
            if not isinstance(pair, dict) or not isinstance(pair.get("value"), str):
                raise invalid("value: a string is needed")
            if pairs.setdefault(_key(pair.get("key")), pair) != pair:
                raise invalid("received duplicate key with different values or expiration parameters")
        entries = [(key, self._entry(_bytes(pair), pair)) for key, pair in pairs.items()]
        return done(len(pairs), self._write(asked, entries, bulk=True))

    def _delete(self, asked: Asked) -> Answer:
        self._write(asked, [(_key(asked.key), None)])
        return success({})

    def _bulk_delete(self, asked: Asked) -> Answer:
        keys = [_key(key) for key in _array(asked.json, BULK_KEYS)]
        return done(len(keys), self._write(asked, [(key, None) for key in keys], bulk=True))

    # Keys

    @property
    def _now(self) -> float:
        return self._clock.now()

    def _space(self, asked: Asked) -> dict[str, _Key]:
        return self._keys.setdefault(asked.namespace, {})

    def _alive(self, entry: Entry | None) -> Entry | None:
        return entry if entry and (entry.expiration or self._now + 1) > self._now else None

    def _visible(self, key: _Key) -> Entry | None:
        return self._alive(key.at(self._now - self.weather.lag))

    def _found(self, asked: Asked) -> Entry:
        if entry := self._read(asked, _key(asked.key)):
            return entry
        raise Refusal(404, NOT_FOUND, "key not found")

    def _read(self, asked: Asked, name: str) -> Entry | None:
        key = self._space(asked).setdefault(name, _Key())
        if self._now < key.missed_until:
            return None
        entry = self._visible(key)
        if entry is None:
            key.missed_until = self._now + self.weather.negative
        return entry

    def _write(self, asked: Asked, items: Iterable[tuple[str, Entry | None]], *, bulk: bool = False) -> list[str]:
        """Returns the keys that were not written."""
        failed = []
        for name, entry in items:
            key = self._space(asked).setdefault(name, _Key())
            if (bulk and self._is_unlucky(name)) or (entry and self._is_hot(key)):
                failed.append(name)
            else:
                key.versions.append((self._now, entry))
        return failed

    def _is_hot(self, key: _Key) -> bool:
        return bool(key.versions) and self._now - key.versions[-1][0] < self.weather.hot

    def _is_unlucky(self, name: str) -> bool:
        for part, times in self._unlucky.items():
            if part in name and times:
                self._unlucky[part] -= 1
                return True
        return False

    def _entry(self, value: bytes, terms: dict[str, Any]) -> Entry:
        if len(value) > VALUE_BYTES:
            raise Refusal(413, 10001, f"Value length of {len(value)} exceeds limit of {VALUE_BYTES}.")
        metadata = terms.get("metadata")
        if (size := len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode())) > METADATA_BYTES:
            raise Refusal(413, 10001, f"Metadata length of {size} exceeds limit of {METADATA_BYTES}.")
        return Entry(value, metadata, self._expiration(terms))

    def _expiration(self, terms: dict[str, Any]) -> int | None:
        ttl, expiration = terms.get("expiration_ttl"), terms.get("expiration")
        if ttl is not None:
            expiration = int(self._now) + ttl
        if expiration is not None and expiration < int(self._now) + LEAST_TTL:
            raise invalid(f"Expiration times must be at least {LEAST_TTL} seconds in the future.")
        return expiration


# Parts of requests


def _key(key: Any) -> str:
    if not isinstance(key, str) or not key:
        raise invalid("Key names must not be empty")
    if key in (".", ".."):
        raise invalid(f'Illegal key name "{key}". Please use a different name.')
    if (size := len(key.encode())) > KEY_BYTES:
        raise Refusal(414, 10001, f"UTF-8 encoded length of {size} exceeds key length limit of {KEY_BYTES}.")
    return key


def _array(found: Any, most: int) -> Sequence[Any]:
    if not isinstance(found, list):
        raise invalid("expected array")
    if len(found) > most:
        raise invalid(f"Too big: expected array to have <={most} items")
    return found


def _limit(text: str | None) -> int:
    limit = 1_000 if text is None else int(text) if text.isdecimal() else 0
    if not 10 <= limit <= 1_000:
        raise invalid("limit: expected number to be >=10 and <=1000")
    return limit


def _bytes(pair: dict[str, Any]) -> bytes:
    if not pair.get("base64"):
        return str(pair["value"]).encode()
    try:
        return base64.b64decode(pair["value"], validate=True)
    except binascii.Error:
        raise invalid("Invalid base64 value") from None


# Parts of answers


def _listed(name: str, entry: Entry) -> dict[str, Any]:
    told = {"expiration": entry.expiration, "metadata": entry.metadata}
    return {"name": name, **{each: value for each, value in told.items() if value is not None}}


def _text(entry: Entry) -> str:
    return entry.value.decode(errors="replace")


def _with_metadata(entry: Entry) -> dict[str, Any]:
    return {"value": _text(entry), "metadata": entry.metadata}


def _to_cursor(empty: int, after: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([empty, after]).encode()).decode()


def _cursor(cursor: str) -> tuple[int, str]:
    """Empty pages so far, and the last name that was shown."""
    if not cursor:
        return 0, ""
    try:
        empty, after = json.loads(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise invalid("cursor: not one of this server") from None
    return empty, after
