"""LangGraph's checkpoints in plain Redis: complete, one round trip, and as big as what is new."""

from langgraph_guard.checkpoint.redis.saver import RedisSaver

__all__ = ["RedisSaver"]
