"""The approval desk and the outbox on a Redis server: their rules again as Lua, one script per command that changes.

desk       `RedisDesk`: requests, decisions, what is open, the chain of deeds
outbox     `RedisOutbox`: executions
front      how a batch of commands becomes round trips
pages      flows over what is open, or in doubt, page by page
reading    what is read as it lies there and judged here
keys       where all of it lies, and the format's version
wire       commands as the scripts' arguments, and what they answer as replies
scripts    the Lua
trial      whether a server's Lua says what the rules say
"""

from langgraph_guard.backends.redis.approvals.desk import RedisDesk
from langgraph_guard.backends.redis.approvals.outbox import RedisOutbox

__all__ = ["RedisDesk", "RedisOutbox"]
