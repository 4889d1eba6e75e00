"""Where the Server keeps threads: a `RedisSaver`, configured by the environment."""

from langgraph_guard.checkpoint.redis.server import create_checkpointer

__all__ = ["create_checkpointer"]
