"""Is a server fit for what is to live on it? In words: what is wrong, and what to do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from redis.crc import key_slot

from langgraph_guard._redis import findings, trial
from langgraph_guard._redis.errors import STORE
from langgraph_guard._redis.link import RedisLink
from langgraph_guard._redis.trial import RedisFlow, Refusals
from langgraph_guard.checks import Finding, Report
from langgraph_guard.errors import StoreError, StoreRefused

__all__ = ["Report", "inspect"]


class Subject(Protocol):
    """What is to live on the server, and what it makes of what the server says."""

    @property
    def link(self) -> RedisLink: ...
    @property
    def patterns(self) -> str:
        """Its keys, as an ACL says them."""

    def key(self, scratch: str) -> str:
        """The key that says which server of a Cluster holds `scratch`."""

    def judged(self, told: Mapping[str, str]) -> Iterator[Finding]:
        """What INFO means for it."""

    def clock(self, server: float, before: float, after: float) -> Finding:
        """What the server's time means, asked for between `before` and `after`."""

    def permissions(self, scratch: str, now: int) -> RedisFlow[Refusals]:
        """Try its commands. `now`: the server's clock in ms."""

    def scripts(self, scratch: str) -> RedisFlow[bool]:
        """Whether its scripts do what they should."""


def inspect(subject: Subject) -> RedisFlow[Report]:
    """Look at everything. After an error, what builds on it is left out."""
    found: list[Finding] = []
    failure: StoreError | None = None
    try:
        for look in (_clock, _servers, _trials):
            if Report(tuple(found), STORE).ok:
                found += yield from look(subject)
    except StoreError as error:
        failure = error
        found.append(findings.failed(error))
    return Report(tuple(found), STORE, failure)


def _clock(subject: Subject) -> RedisFlow[list[Finding]]:
    before = time.time()
    server = yield from _time(subject)
    transport = findings.transport(subject.link.settings)  # only now: nothing is said of a connection that failed
    return [transport] if server is None else [transport, subject.clock(server, before, time.time())]


def _time(subject: Subject) -> RedisFlow[float | None]:
    """The server's clock; `None` when it may not be asked for, which the trials will say."""
    try:
        ((seconds, micros),) = yield [("TIME",)]
    except StoreRefused as error:
        if trial.is_about_permission(error) and "'time'" in str(error.__cause__):
            return None
        raise
    return int(seconds) + int(micros) / 1e6


def _servers(subject: Subject) -> RedisFlow[list[Finding]]:
    """Whether all servers are there, and what each tells of itself."""
    slots = yield from _slots(subject)
    reports: list[tuple[Master, Sequence[Finding]]] = []
    for master in masters(subject, slots):
        told = yield from _info(subject, master)
        found = [findings.UNREAD] if told is None else subject.judged(told)
        reports.append((master, [*found]))
    return [*([] if slots is None else [findings.coverage(slots)]), *joint(reports)]


def _slots(subject: Subject) -> RedisFlow[list[Any] | None]:
    if not subject.link.is_cluster:
        return None
    (slots,) = yield [("CLUSTER", "SLOTS")]
    return list(slots)


def _info(subject: Subject, master: Master) -> RedisFlow[dict[str, str] | None]:
    """INFO, and `save` of the configuration where that may be read."""
    # On a Cluster, a command without a key goes where its neighbour goes.
    ahead = [("EXISTS", subject.key(master.scratch))] if subject.link.is_cluster else []
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


def _trials(subject: Subject) -> RedisFlow[list[Finding]]:
    """Commands and scripts, on every master: a Cluster's nodes do not share users."""
    now = int(((yield from _time(subject)) or time.time()) * 1_000)
    everyone = masters(subject, (yield from _slots(subject)))
    reports: list[tuple[Master, Sequence[Finding]]] = []
    for master in everyone:
        found = yield from _trial(subject, master, now)
        reports.append((master, found))
    return joint(reports)


def _trial(subject: Subject, master: Master, now: int) -> RedisFlow[list[Finding]]:
    refused = yield from subject.permissions(master.scratch, now)
    if refused:
        return list(findings.permissions(refused, subject.patterns))
    if not (yield from subject.scripts(master.scratch)):
        return [Finding("error", "scripts", "Our scripts do not do on this server what they do on Redis: use another.")]
    return [Finding("ok", "permissions", "All commands and scripts that are needed may be used.")]


class Master(NamedTuple):
    """A server that holds slots, and a scratch name that it would hold."""

    address: str
    scratch: str


def masters(subject: Subject, slots: Iterable[Any] | None) -> list[Master]:
    """All servers that hold slots. `slots`: a Cluster's, as CLUSTER SLOTS tells them."""
    scratch = f"check-{secrets.token_hex(8)}"
    if slots is None:
        return [Master("", scratch)]
    held = [(range(low, high + 1), f"{(host or b'').decode()}:{port}") for low, high, (host, port, *_), *_ in slots]
    lacking = {address for _, address in held}
    found: list[Master] = []
    while lacking:
        name = f"{scratch}-{len(found)}-{secrets.token_hex(4)}"
        slot = key_slot(subject.key(name).encode())
        address = next((address for its, address in held if slot in its), "")
        if address in lacking:
            lacking.remove(address)
            found.append(Master(address, name))
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
