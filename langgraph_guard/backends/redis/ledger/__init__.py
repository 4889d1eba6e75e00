"""The ledger on a Redis server: the rules of `policies/bookkeeping.py` again as Lua, one script per command.

ledger     `RedisLedger`: commands in, replies out, blocking and on event loops
books      the books of one hash slot: which ones they are, and whose leases have ended
calling    flows of what a call does: reserve, settle, release, extend
looking    flows of what a gate does: open turns, raise accounts, read them
people     flows of what people do and read: adjust, freeze, survey, audit
keys       where all of it lies, and the format's version
wire       commands and replies as text
made       what this process reserved and has not closed yet
scripts    the Lua
"""

from langgraph_guard.backends.redis.ledger.ledger import RedisLedger

__all__ = ["RedisLedger"]
