"""Shared by every worker on every machine: budgets, circuits and approvals in plain Redis.

    backend = RedisBackend.from_url("redis://localhost:6379")
    print(backend.check())                       # is this server fit? in words
    budget = BudgetCheckNode(Budget([Limit("usd", 5, per="user", window="day")]), backend)
    breaker = CircuitBreaker(backend)

Redis 6.2 or newer, Valkey, or what speaks like them, without modules; a Cluster or Sentinels through your own client.

backend          the connection, and what is on it
ledger           the accounts
breakers         the circuits
approvals        what people decide, and what happened once
check            is this server fit, and the smallest ACL
trial            each of its commands, tried
"""

from langgraph_guard.backends.redis.backend import RedisBackend
from langgraph_guard.backends.redis.breakers import RedisBreakers

__all__ = ["RedisBackend", "RedisBreakers"]
