"""Is this server fit to keep budgets, circuits and approvals? `backend.check()` says so in words: what is wrong, and
what to do.

    report = backend.check()
    print(report)                    # the worst first
    report.raise_if_unusable()       # what `setup()` does

All that a user of the server needs (`lgg` is the backend's prefix):

    ACL SETUSER guard on >secret resetkeys ~lgg:* ~{lgg:* -@all +multi +exec +evalsha +script|load +time +get +mget
        +set +del +pexpire +pttl +persist +hset +hmget +hgetall +hdel +rpush +llen +lindex +lrange +ltrim +zadd +zcard
        +zrangebylex +zrangebyscore +zrem

On a Cluster also `+cluster|slots +asking`; its nodes do not share users. For another database than 0 `+select`. With
`+info +config|get` this check sees more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from langgraph_guard._redis import RedisLink, check, findings
from langgraph_guard._redis.trial import RedisFlow, Refusals
from langgraph_guard.backends.redis import trial
from langgraph_guard.checks import Finding, Report

EVERYTHING: Final = "what was spent, which circuits are open, and what was approved and done"


def inspect(link: RedisLink, prefix: str) -> RedisFlow[Report]:
    """Look at everything. After an error, what builds on it is left out."""
    return check.inspect(Shared(link, prefix))


@dataclass(frozen=True, slots=True)
class Shared:
    """Budgets, circuits and approvals, as what is to live on a server."""

    link: RedisLink
    prefix: str

    @property
    def patterns(self) -> str:
        return f"~{self.prefix}:* ~{{{self.prefix}:*"

    def key(self, scratch: str) -> str:
        return trial.Scratch.of(self.prefix, scratch).owner

    def judged(self, told: Mapping[str, str]) -> Iterator[Finding]:
        yield findings.version(told)
        yield findings.role(told)
        yield from findings.cluster_mode(told, self.link.is_cluster)
        yield eviction(told)
        yield findings.memory(told)
        yield findings.persistence(told, EVERYTHING)

    def clock(self, server: float, before: float, after: float) -> Finding:
        matters = (
            "Windows, leases and waits go by the server's, so nothing is counted wrong; but what is shown here as a"
            " time of day, such as when to try again, is wrong by as much."
        )
        return findings.clock(server, before, after, matters)

    def permissions(self, scratch: str, now: int) -> RedisFlow[Refusals]:
        return trial.permissions(trial.Scratch.of(self.prefix, scratch))

    def scripts(self, scratch: str) -> RedisFlow[bool]:
        return trial.scripts(trial.Scratch.of(self.prefix, scratch))


def eviction(told: Mapping[str, str]) -> Finding:
    """An account that is evicted is one that starts again at zero; most of them expire, so `volatile-*` is no help."""
    policy = told.get("maxmemory_policy")
    if policy is None:
        return Finding("warning", "eviction", "What happens when memory is short (maxmemory-policy) could not be read.")
    if policy != "noeviction":
        says = f"With {policy}, a server that is short of memory forgets what was spent. Set noeviction."
        return Finding("error", "eviction", says)
    return Finding("ok", "eviction", "With noeviction, nothing is forgotten that still counts.")
