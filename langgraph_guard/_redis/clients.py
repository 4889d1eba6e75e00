"""Where connections come from: a URL, or the settings of a client that the user made.

A client is read, not used: its connections stay its own. What its pool cannot promise (a bound on waiting and on
connecting, a cancelled handshake that nobody goes on with, a second event loop, the other world's connections) ours do,
with the same address, credentials, TLS settings and number of connections.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import redis
import redis.asyncio
from redis import connection as sync_connections
from redis.asyncio import connection as async_connections

from langgraph_guard._redis.urls import checked_url
from langgraph_guard.errors import ConfigError

CONNECTIONS = 50
"""At most, to each server, where nobody says otherwise."""

# Ours to decide (retries, protocol, decoding), or tied to the client that it came from.
_DROPPED = frozenset(
    [
        "cache",
        "cache_config",
        "command_packer",
        "connection_class",
        "connection_pool",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "event_dispatcher",
        "health_check_interval",
        "himport_registry",
        "legacy_responses",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "max_connections",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler",
        "parser_class",
        "protocol",
        "response_callbacks",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "ssl",
    ]
)

_KINDS = ("Connection", "SSLConnection", "UnixDomainSocketConnection")

_NAMES = {"driver_info", "lib_name", "lib_version"}
"""What a connection tells the server about its library."""


class Place(NamedTuple):
    """A server's address. An empty host is the one that the settings name."""

    host: str = ""
    port: int = 0
    sentinel: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Terms:
    """How to connect to a server: redis-py's connection class and its arguments. They hold secrets: no repr."""

    kind: type[Any]
    arguments: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, pool: Any) -> Terms:
        return cls.read(pool.connection_class, pool.connection_kwargs)

    @classmethod
    def read(cls, kind: type[Any], arguments: Mapping[str, Any]) -> Terms:
        # A Sentinel's connections look for the master by themselves; ours are told where it is.
        if kind.__name__.startswith("SentinelManaged"):
            kind = next(base for base in kind.__mro__ if base.__name__ in _KINDS)
        kept = {name: value for name, value in arguments.items() if name not in _DROPPED}
        return cls(kind, kept if _NAMES & kept.keys() else {**_driver(), **kept})

    def connection(self, place: Place) -> Any:
        """A connection that is not connected yet. RESP2, so that every server and client answers in the same shapes."""
        where = {"host": place.host, "port": place.port} if place.host else {}
        return self.kind(**{**self.arguments, **where, "protocol": 2, "socket_timeout": None})

    @property
    def address(self) -> str:
        """Where the server is, for people."""
        arguments = self.arguments
        if path := arguments.get("path"):
            return str(path)
        return str(Place(arguments.get("host") or "localhost", arguments.get("port") or 6379))

    @property
    def patience(self) -> float | None:
        """How long the user lets one exchange take."""
        return self.arguments.get("socket_timeout")

    def in_other_world(self) -> Terms:
        """The same for asyncio's connections, or for threads'."""
        kind = _twin(self.kind)
        known = _parameters(kind)
        for name, value in self.arguments.items():
            if value and (name == "redis_connect_func" or (name.startswith("ssl_") and name not in known)):
                raise ConfigError("client", f"{name} has no twin in the other world: pass client= and async_client=")
        return Terms(kind, {name: value for name, value in self.arguments.items() if name in known})


@dataclass(frozen=True)
class Direct:
    """One server, or one address behind which a service changes servers."""

    address: str = field(default="", compare=False)
    """For people."""


@dataclass(frozen=True)
class Watched:
    """A master that Sentinels watch."""

    service: str
    sentinels: tuple[Place, ...]
    terms: Terms
    """How to connect to a Sentinel."""
    force_ip: str | None = None


@dataclass(frozen=True)
class Sharded:
    """A Cluster, and where to ask first."""

    nodes: tuple[Place, ...]
    remap: Any = None
    """The client's own `address_remap`, for a Cluster behind NAT."""


Topology: TypeAlias = Direct | Watched | Sharded


@dataclass(frozen=True)
class Settings:
    """All that a client knows."""

    topology: Topology
    terms: Terms
    connections: int = CONNECTIONS

    @classmethod
    def of_url(cls, url: str, **terms: Any) -> Settings:
        """`terms` are redis-py's connection arguments, and `max_connections`."""
        url, most = checked_url(url), terms.get("max_connections", CONNECTIONS)
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ConfigError("max_connections", "must be a number, 1 or more")
        try:
            pool = redis.ConnectionPool.from_url(url, **{"max_connections": CONNECTIONS, **terms})
            read = Terms.of(pool)
            settings = cls(Direct(read.address), read, pool.max_connections)
            settings.connection(Place())  # not connected: it only shows whether all terms are known
        except (ValueError, AttributeError):
            # `from None`: the driver's message may quote the URL, and with it the password.
            raise ConfigError("url", "cannot be read by the driver; must be like redis://localhost:6379") from None
        except TypeError as error:
            raise _unknown_term(error, terms) from None
        return settings

    @classmethod
    def of_client(cls, client: Any) -> Settings:
        """Of a `Redis`, a `RedisCluster` or what `Sentinel.master_for` returns, of either world."""
        if nodes := getattr(client, "nodes_manager", None):
            return cls._of_cluster(client, nodes)
        pool = client.connection_pool
        limit = _connections(getattr(pool, "max_connections", None))
        if manager := getattr(pool, "sentinel_manager", None):
            return cls(_watched(pool, manager), Terms.of(pool), limit)
        terms = Terms.of(pool)
        return cls(Direct(terms.address), terms, limit)

    @classmethod
    def _of_cluster(cls, client: Any, nodes: Any) -> Settings:
        arguments = dict(client.get_connection_kwargs())
        # The driver's own function for new connections is tied to the client; the user's is what it calls.
        arguments["redis_connect_func"] = getattr(client, "user_on_connect_func", None)
        world = async_connections if is_async(client) else sync_connections
        kind = arguments.get("connection_class") or (world.SSLConnection if arguments.get("ssl") else world.Connection)
        places = tuple(Place(node.host, int(node.port)) for node in list(nodes.startup_nodes.values()))
        topology = Sharded(places, getattr(nodes, "address_remap", None))
        return cls(topology, Terms.read(kind, arguments), _connections(arguments.get("max_connections")))

    def connection(self, place: Place) -> Any:
        """A connection to `place`, not connected yet."""
        topology = self.topology
        terms = topology.terms if place.sentinel and isinstance(topology, Watched) else self.terms
        return terms.connection(place)

    def in_other_world(self) -> Settings:
        topology = self.topology
        if isinstance(topology, Watched):
            topology = Watched(topology.service, topology.sentinels, topology.terms.in_other_world(), topology.force_ip)
        return Settings(topology, self.terms.in_other_world(), self.connections)


@cache
def _driver() -> Mapping[str, Any]:
    """Read once: redis-py looks into its package's files for each connection, and keeps an event loop waiting."""
    return {"driver_info": redis.DriverInfo()} if hasattr(redis, "DriverInfo") else {}


def is_async(client: Any) -> bool:
    return isinstance(client, (redis.asyncio.Redis, redis.asyncio.RedisCluster))


def check_client(client: Any, asynchronous: bool) -> None:
    """Refuse what is no client of that world."""
    field, other = ("async_client", "client") if asynchronous else ("client", "async_client")
    world, its = ("redis.asyncio", "redis") if asynchronous else ("redis", "redis.asyncio")
    if not isinstance(client, (redis.Redis, redis.RedisCluster, redis.asyncio.Redis, redis.asyncio.RedisCluster)):
        where = ": a URL goes to from_conn_string or from_url" if isinstance(client, str) else ""
        raise ConfigError(field, f"must be a {world}.Redis or RedisCluster, is a {type(client).__name__}{where}")
    if is_async(client) is not asynchronous:
        raise ConfigError(field, f"is a client of {its}: pass it as {other}=")


def checked_terms(connection_args: object) -> dict[str, Any]:
    """redis-py's terms for a connection, as a user gave them."""
    if connection_args is None:
        return {}
    if not isinstance(connection_args, Mapping):
        raise ConfigError("connection_args", f"must be a dict of terms, is a {type(connection_args).__name__}")
    return dict(connection_args)


def _unknown_term(error: TypeError, terms: Mapping[str, Any]) -> ConfigError:
    """The driver's complaint in the words of whoever gave the term."""
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if found is None:
        return ConfigError("connection_args" if terms else "url", "the driver refuses a term of it")
    where = "connection_args" if found[1] in terms else "url"
    return ConfigError(where, f"there is no term {found[1]} for such a connection")


def _watched(pool: Any, manager: Any) -> Watched:
    if not pool.is_master:
        raise ConfigError("client", "reads from replicas, where what was just written may be missing: use master_for")
    pools = [sentinel.connection_pool for sentinel in manager.sentinels]
    places = tuple(Place(each.connection_kwargs["host"], int(each.connection_kwargs["port"]), True) for each in pools)
    return Watched(pool.service_name, places, Terms.of(pools[0]), getattr(manager, "_force_master_ip", None))


def _connections(limit: int | None) -> int:
    # redis-py 5 and 6 say 2**31 for "as many as you like".
    return limit if limit and limit < 10_000 else CONNECTIONS


def _twin(kind: type[Any]) -> type[Any]:
    for one, other in ((sync_connections, async_connections), (async_connections, sync_connections)):
        for name in _KINDS:
            if kind is getattr(one, name):
                return getattr(other, name)  # type: ignore[no-any-return]
    raise ConfigError("client", f"{kind.__name__} has no twin in the other world: pass client= and async_client=")


def _parameters(kind: type[Any]) -> set[str]:
    return {name for base in kind.__mro__ for name in inspect.signature(base).parameters}
