"""What a server's answers mean for the threads that it is to keep. Pure: facts in, sentences out.

What they mean for anything that is kept in Redis is in `_redis/findings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from langgraph_guard._redis import findings
from langgraph_guard._redis.findings import cluster_mode, coverage, memory, role, transport, version
from langgraph_guard.checks import Finding

__all__ = ["Finding", "clock", "coverage", "eviction", "judged", "memory", "persistence", "transport", "version"]


def judged(told: Mapping[str, str], client_is_cluster: bool, expires: bool) -> Iterator[Finding]:
    """What INFO means for threads. `expires`: whether the saver has a ttl."""
    yield version(told)
    yield role(told)
    yield from cluster_mode(told, client_is_cluster)
    yield eviction(told, expires)
    yield memory(told)
    yield persistence(told)


def eviction(told: Mapping[str, str], expires: bool) -> Finding:
    """Redis evicts keys, and a thread is four of them: what is left of it is an error when it is read."""
    policy = told.get("maxmemory_policy")
    if policy is None:
        return Finding("warning", "eviction", "What happens when memory is short (maxmemory-policy) could not be read.")
    if policy.startswith("allkeys") or (policy.startswith("volatile") and expires):
        whose = "threads" if policy.startswith("allkeys") else "threads with a ttl"
        says = f"With {policy}, {whose} lose parts when memory is short, and can be read no longer. Set noeviction."
        return Finding("warning", "eviction", says)
    return Finding("ok", "eviction", f"With {policy}, no thread is evicted.")


def persistence(told: Mapping[str, str]) -> Finding:
    return findings.persistence(told, "every thread")


def clock(server: float, before: float, after: float) -> Finding:
    """`server`'s time, asked for between `before` and `after` by this machine's clock."""
    return findings.clock(
        server,
        before,
        after,
        "The newest checkpoint is the one with the latest time in its id, by the clock of the machine that wrote it:"
        " where those differ, a run that goes on elsewhere may go back.",
    )
