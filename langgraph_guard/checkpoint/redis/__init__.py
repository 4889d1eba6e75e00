"""LangGraph's checkpoints in plain Redis: complete, one round trip, and as big as what is new.

    saver = RedisSaver.from_conn_string("redis://localhost:6379", ttl=timedelta(days=30))
    print(saver.check())                         # is this server fit? in words
    app = graph.compile(checkpointer=saver)      # then `invoke` and `ainvoke`, from as many processes as you like

Redis 6.2 or newer, Valkey, or what speaks like them, without modules; a Cluster or Sentinels through your own client.
Classes of your own in a state are named in `allowed_types=`, or found by `compile`. `seal=Seal(key)` encrypts.
Nodes that edit an old message below its fields return it, or the saver is made with `strict=True`.

`layout.py` is the specification of what is stored, `check.py` has the smallest ACL, `server.py` a factory for
LangGraph Server.
"""

from langgraph_guard.checkpoint.redis.saver import RedisSaver

__all__ = ["RedisSaver"]
