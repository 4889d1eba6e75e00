"""Is this server fit to keep threads? `saver.check()` says so in words: what is wrong, and what to do.

    report = saver.check()
    print(report)                    # the worst first
    report.raise_if_unusable()       # what `setup()` does

All that a user of the server needs (`~lgg:*` is the saver's prefix):

    ACL SETUSER saver on >secret resetkeys ~lgg:* -@all +multi +exec +evalsha +script|load +time +exists +unlink
        +pexpireat +pttl +persist +hset +hincrby +hget +hmget +hlen +hkeys +hdel +zadd +zcard +zscore +zlexcount
        +zrevrangebylex +zremrangebylex +zrem +zscan +rpush +llen +lrange +lset +ltrim +copy +sadd +smembers +srem

On a Cluster also `+cluster|slots +asking`, and `+dump +restore` in the place of `+copy`; its nodes do not share users.
For another database than 0 `+select`. With `+info +config|get` this check sees more.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.crc import key_slot

from langgraph_guard.checkpoint.redis import findings, trial
from langgraph_guard.checkpoint.redis.findings import Finding, Level
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.errors import StoreError, StoreRefused, StoreUnavailable


@dataclass(frozen=True)
class Report:
    """What `check()` found."""

    findings: tuple[Finding, ...]
    failure: StoreError | None = field(default=None, repr=False, compare=False)
    """What ended the check before its time."""

    @property
    def ok(self) -> bool:
        """Whether the saver can work with this server. Warnings do not keep it from that."""
        return not self.of("error")

    def of(self, level: Level) -> list[Finding]:
        return [each for each in self.findings if each.level == level]

    def raise_if_unusable(self) -> None:
        """Raise `StoreUnavailable` when the server did not answer, and `StoreRefused` for every other error."""
        if isinstance(self.failure, StoreUnavailable):
            raise self.failure
        if not self.ok:
            raise StoreRefused("redis", "check", " ".join(each.says for each in self.of("error"))) from self.failure

    def __str__(self) -> str:
        width = max((len(each.name) for each in self.findings), default=0)
        worst_first = [*self.of("error"), *self.of("warning"), *self.of("ok")]
        return "\n".join(f"{each.level:<8} {each.name:<{width}}  {each.says}" for each in worst_first)


def inspect(store: Store) -> RedisFlow[Report]:
    """Look at everything. After an error, what builds on it is left out."""
    found = [findings.transport(store.link.settings)]
    failure: StoreError | None = None
    try:
        for look in (_clock, _servers, _trials):
            if Report(tuple(found)).ok:
                found += yield from look(store)
    except StoreError as error:
        failure = error
        found.append(findings.failed(error))
    return Report(tuple(found), failure)


def _clock(store: Store) -> RedisFlow[list[Finding]]:
    before = time.time()
    server = yield from _time(store)
    return [] if server is None else [findings.clock(server, before, time.time())]


def _time(store: Store) -> RedisFlow[float | None]:
    """The server's clock; `None` when it may not be asked for, which the trials will say."""
    try:
        ((seconds, micros),) = yield [("TIME",)]
    except StoreRefused as error:
        if trial.is_about_permission(error) and "'time'" in str(error.__cause__):
            return None
        raise
    return int(seconds) + int(micros) / 1e6


def _servers(store: Store) -> RedisFlow[list[Finding]]:
    """Whether all servers are there, and what each tells of itself."""
    slots = yield from _slots(store)
    reports: list[tuple[Master, Sequence[Finding]]] = []
    for master in masters(store, slots):
        told = yield from _info(store, master)
        found = [findings.UNREAD] if told is None else findings.judged(told, store.link.is_cluster, bool(store.ttl_ms))
        reports.append((master, [*found]))
    return [*([] if slots is None else [findings.coverage(slots)]), *joint(reports)]


def _slots(store: Store) -> RedisFlow[list[Any] | None]:
    if not store.link.is_cluster:
        return None
    (slots,) = yield [("CLUSTER", "SLOTS")]
    return list(slots)


def _info(store: Store, master: Master) -> RedisFlow[dict[str, str] | None]:
    """INFO, and `save` of the configuration where that may be read."""
    # On a Cluster, a command without a key goes where its neighbour goes.
    ahead = [("EXISTS", store.keys.thread(master.thread).meta)] if store.link.is_cluster else []
    try:
        *_, info = yield [*ahead, ("INFO",)]
    except StoreRefused as error:
        if trial.is_about_permission(error):
            return None
        raise
    told = findings.parsed(info.decode(errors="replace"))
    try:
        *_, saves = yield [*ahead, ("CONFIG", "GET", "save")]
    except StoreRefused:
        return told
    return told | ({"save": saves[1].decode()} if len(saves) == 2 else {})


def _trials(store: Store) -> RedisFlow[list[Finding]]:
    """Commands and scripts, on every master: a Cluster's nodes do not share users."""
    now = int(((yield from _time(store)) or time.time()) * 1_000)
    everyone = masters(store, (yield from _slots(store)))
    reports: list[tuple[Master, Sequence[Finding]]] = []
    for master in everyone:
        found = yield from _trial(store, master, now)
        reports.append((master, found))
    return joint(reports)


def _trial(store: Store, master: Master, now: int) -> RedisFlow[list[Finding]]:
    refused = yield from trial.permissions(store, master.thread, now)
    if refused:
        return list(findings.permissions(refused, store.keys.prefix))
    if not (yield from trial.scripts(store, master.thread)):
        return [
            Finding(
                "error", "scripts", "The saver's scripts do not do on this server what they do on Redis: use another."
            )
        ]
    return [Finding("ok", "permissions", "All commands and scripts that are needed may be used.")]


class Master(NamedTuple):
    """A server that holds threads, and the id of a scratch thread that it would hold."""

    address: str
    thread: str


def masters(store: Store, slots: Iterable[Any] | None) -> list[Master]:
    """All servers that hold threads. `slots`: a Cluster's, as CLUSTER SLOTS tells them."""
    scratch = f"check-{secrets.token_hex(8)}"
    if slots is None:
        return [Master("", scratch)]
    held = [(range(low, high + 1), f"{(host or b'').decode()}:{port}") for low, high, (host, port, *_), *_ in slots]
    lacking = {address for _, address in held}
    found: list[Master] = []
    while lacking:
        thread = f"{scratch}-{len(found)}-{secrets.token_hex(4)}"
        slot = key_slot(store.keys.thread(thread).meta.encode())
        address = next((address for its, address in held if slot in its), "")
        if address in lacking:
            lacking.remove(address)
            found.append(Master(address, thread))
    return found


def joint(reports: Sequence[tuple[Master, Sequence[Finding]]]) -> list[Finding]:
    """What several servers say: once where all agree, otherwise with their addresses."""
    said: dict[Finding, list[str]] = {}
    for master, found in reports:
        for each in found:
            said.setdefault(each, []).append(master.address)
    return [
        each if len(who) == len(reports) else Finding(each.level, each.name, f"{', '.join(who)}: {each.says}")
        for each, who in said.items()
    ]
