"""Circuits in Redis.

registry   a command, a round trip, a reply
wire       how circuits lie there, and what their scripts are told and answer
closed     what a process need not ask again
"""

from langgraph_guard.backends.redis.breakers.registry import RedisBreakers

__all__ = ["RedisBreakers"]
