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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from langgraph_guard._redis import RedisLink, check
from langgraph_guard._redis.trial import Refusals
from langgraph_guard.checkpoint.redis import findings, trial
from langgraph_guard.checkpoint.redis.findings import Finding
from langgraph_guard.checkpoint.redis.store import RedisFlow, Store
from langgraph_guard.checks import Report

__all__ = ["Report", "inspect"]


def inspect(store: Store) -> RedisFlow[Report]:
    """Look at everything. After an error, what builds on it is left out."""
    return check.inspect(_Threads(store))


@dataclass(frozen=True, slots=True)
class _Threads:
    """The threads of a store, as what is to live on its server."""

    store: Store

    @property
    def link(self) -> RedisLink:
        return self.store.link

    @property
    def patterns(self) -> str:
        return f"~{self.store.keys.prefix}:*"

    def key(self, scratch: str) -> str:
        return self.store.keys.thread(scratch).meta

    def judged(self, told: Mapping[str, str]) -> Iterator[Finding]:
        return findings.judged(told, self.link.is_cluster, bool(self.store.ttl_ms))

    def clock(self, server: float, before: float, after: float) -> Finding:
        return findings.clock(server, before, after)

    def permissions(self, scratch: str, now: int) -> RedisFlow[Refusals]:
        return trial.permissions(self.store, scratch, now)

    def scripts(self, scratch: str) -> RedisFlow[bool]:
        return trial.scripts(self.store, scratch)
