"""What the Redis checkpointer and the Redis backends share: connections, deadlines, scripts, errors, key parts."""

from langgraph_guard._redis.clients import checked_terms
from langgraph_guard._redis.keys import check_prefix, part
from langgraph_guard._redis.link import RedisLink
from langgraph_guard._redis.request import Batch, Pipelined
from langgraph_guard._redis.scripts import Script, load_script

__all__ = ["Batch", "Pipelined", "RedisLink", "Script", "check_prefix", "checked_terms", "load_script", "part"]
