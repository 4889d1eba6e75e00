"""What a server's answers mean for what it is to keep. Pure: facts in, sentences out."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from langgraph_guard._redis.clients import Settings, Sharded, Watched
from langgraph_guard._redis.trial import Refusals
from langgraph_guard.checks import Finding
from langgraph_guard.errors import StoreError, StoreRefused, StoreUnavailable

OLDEST: Final = (6, 2)
"""The first Redis that has all the commands."""

TOLERATED: Final = 1.0
"""Seconds by which clocks may differ."""

NEARLY_FULL: Final = 0.9
"""Of `maxmemory`."""

_OTHERS: Final = {
    "valkey_version": "Valkey",
    "dragonfly_version": "Dragonfly",
    "garnet_version": "Garnet",
    "kvrocks_version": "Kvrocks",
}
"""Servers that speak like Redis: where INFO has their own version."""


# What INFO tells


def parsed(info: str) -> dict[str, str]:
    """INFO's lines."""
    pairs = (line.partition(":") for line in info.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def version(told: Mapping[str, str]) -> Finding:
    speaks = told.get("redis_version", "")
    own = next((f"{name} {told[key]}" for key, name in _OTHERS.items() if key in told), None)
    known = re.match(r"(\d+)\.(\d+)", speaks)
    if known is None:
        return Finding("warning", "version", "The server does not say which version of Redis it is.")
    if (int(known[1]), int(known[2])) >= OLDEST:
        return Finding("ok", "version", f"Redis {speaks}." if own is None else f"{own}, which speaks Redis {speaks}.")
    if own is not None:
        return Finding("warning", "version", f"{own} speaks Redis {speaks}; 6.2 or newer is needed.")
    return Finding("error", "version", f"Redis {speaks} is too old: 6.2 or newer is needed.")


def role(told: Mapping[str, str]) -> Finding:
    if told.get("role") in ("slave", "replica"):
        says = "The server is a replica, which takes no writes. Name the master, or let Sentinels name it (master_for)."
        return Finding("error", "role", says)
    return Finding("ok", "role", "The server is a master.")


def cluster_mode(told: Mapping[str, str], client_is_cluster: bool) -> Iterator[Finding]:
    server = told.get("cluster_enabled") == "1" or told.get("redis_mode") == "cluster"
    if server and not client_is_cluster:
        says = "The server belongs to a Cluster and the client does not know: pass redis.RedisCluster as client."
        yield Finding("error", "cluster", says)


def memory(told: Mapping[str, str]) -> Finding:
    most, used = int(told.get("maxmemory") or 0), int(told.get("used_memory") or 0)
    if not most:
        return Finding("ok", "memory", "maxmemory is not set: the machine is the limit.")
    if used < most * NEARLY_FULL:
        return Finding("ok", "memory", f"{used / most:.0%} of maxmemory is used.")
    says = f"{used / most:.0%} of maxmemory is used; a full server refuses writes. Raise it, or keep less."
    return Finding("warning", "memory", says)


def persistence(told: Mapping[str, str], everything: str) -> Finding:
    """`everything`: what is lost where nothing is on disk."""
    aof, saves = told.get("aof_enabled"), told.get("save")
    if aof == "1" and told.get("aof_last_write_status", "ok") == "ok":
        return Finding("ok", "persistence", "There is an append-only file.")
    if aof == "1":
        says = "The append-only file could not be written. Look at the server's disk."
    elif aof is None or saves is None:
        says = "What survives a restart could not be read. Best is appendonly yes."
    elif saves:
        says = "There are snapshots only: a restart forgets what is newer than the last one. Set appendonly yes."
    else:
        says = f"Nothing is written to disk: a restart forgets {everything}. Set appendonly yes."
    return Finding("warning", "persistence", says)


UNREAD: Final = Finding(
    "warning", "information", "Version, role, eviction and persistence could not be read. Allow it: +info +config|get."
)


# What was measured and tried


def clock(server: float, before: float, after: float, matters: str) -> Finding:
    """`server`'s time, asked for between `before` and `after` by this machine's clock. `matters`: what for."""
    ahead = max(server - after, 0.0) - max(before - server, 0.0)
    if abs(ahead) <= TOLERATED:
        return Finding("ok", "clock", "The clocks of this machine and of the server agree.")
    way = "behind" if ahead > 0 else "ahead of"
    return Finding(
        "warning", "clock", f"This machine's clock is {abs(ahead):.1f} s {way} the server's. {matters} Use NTP."
    )


def coverage(slots: Iterable[Any]) -> Finding:
    """Whether a Cluster's slots, as CLUSTER SLOTS tells them, all have a server."""
    held = {slot for low, high, *_ in slots for slot in range(low, high + 1)}
    lacking = REDIS_CLUSTER_HASH_SLOTS - len(held)
    if lacking:
        says = f"{lacking} of {REDIS_CLUSTER_HASH_SLOTS} slots have no server: what belongs there can be neither stored"
        return Finding("error", "slots", f"{says} nor read. Repair it: redis-cli --cluster fix.")
    return Finding("ok", "slots", "Every slot of the Cluster has a server.")


def permissions(refused: Refusals, patterns: str) -> Iterator[Finding]:
    """`patterns`: of the keys, as an ACL says them."""
    if refused.keys:
        says = f"The user may not use the keys. Allow it: ACL SETUSER … {patterns}"
        yield Finding("error", "permissions", says)
    if refused.forbidden:
        rules = " ".join(f"+{name}" for name in refused.forbidden)
        yield Finding(
            "error", "permissions", f"The user may not do all that is needed. Allow it: ACL SETUSER … {rules}"
        )
    if refused.unknown:
        names = ", ".join(name.upper().replace("|", " ") for name in refused.unknown)
        yield Finding("error", "commands", f"The server does not know {names}: it is too old, or they are disabled.")


def transport(settings: Settings) -> Finding:
    """Whether others on the way can read along."""
    terms, host = settings.terms, _elsewhere(settings)
    if host is None:
        return Finding("ok", "transport", "The server is on this machine.")
    if not _is_a(terms.kind, "SSLConnection"):
        says = f"The connection to {host} is not encrypted: others can read passwords and contents. Use rediss://."
        return Finding("warning", "transport", says)
    if terms.arguments.get("ssl_cert_reqs", "required") in ("none", None, ssl.CERT_NONE):
        says = f"The certificate of {host} is not verified (ssl_cert_reqs): who stands between can read everything."
        return Finding("warning", "transport", says)
    return Finding("ok", "transport", "The connection is encrypted, and the server's certificate is verified.")


def _elsewhere(settings: Settings) -> str | None:
    """A host that is another machine."""
    topology, terms = settings.topology, settings.terms
    if _is_a(terms.kind, "UnixDomainSocketConnection"):
        return None
    hosts = [terms.arguments.get("host") or "localhost"]
    if isinstance(topology, Sharded):
        hosts = [place.host for place in topology.nodes]
    elif isinstance(topology, Watched):
        hosts = [place.host for place in topology.sentinels]
    return next((host for host in hosts if not _is_here(host)), None)


def _is_a(kind: type[Any], name: str) -> bool:
    """By name: the driver's two worlds have classes of the same names."""
    return any(base.__name__ == name for base in kind.__mro__)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def failed(error: StoreError) -> Finding:
    """What ended the check before its time."""
    said = str(error.__cause__ or "")
    if "cluster support disabled" in said:
        return Finding("error", "cluster", "The client is a RedisCluster and the server is in none: pass redis.Redis.")
    if "cluster|slots" in said or "'cluster'" in said:
        says = "The user may not ask for the Cluster's slots. Allow it: ACL SETUSER … +cluster|slots"
        return Finding("error", "permissions", says)
    if isinstance(error, StoreRefused):
        server = f"The server at {error.address}" if error.address else "The server"
        return Finding("error", "server", f"{server} says no: {error.reason}.{_then(error.advice)}")
    advised = isinstance(error, StoreUnavailable) and error.advice
    advice = "" if advised else "Look at its address, and whether it runs"
    says = str(error)
    return Finding("error", "server", f"{says[:1].upper()}{says[1:]}.{_then(advice)}")


def _then(advice: str) -> str:
    return f" {advice}." if advice else ""
