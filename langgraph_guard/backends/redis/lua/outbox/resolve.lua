-- Somebody looked: an execution in doubt happened, or it did not.
-- KEYS: execution, head of the chain, deeds, executions that have not ended
-- ARGV: 1 now ("" the server's)  2 what deeds call it  3 digest  4 by  5 "done" or "failed"  6 result  7 how they know
-- Returns what is known of it; false when nothing is
-- The first change is a removal: a server that is full lets a script go on that begins so.
local now = moment(ARGV[1])
local known, readable = execution_of(KEYS[1], now)
local last = end_of(KEYS[2], KEYS[3])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[4])
if not known then return false end
if known.state == 'in_doubt' then
  known.state, known.at, known.result = ARGV[5], precise(now), ARGV[6]
  chain(last, now, 'resolved_' .. ARGV[5], ARGV[2], ARGV[4], ARGV[3], ARGV[7])
  keep_execution(KEYS[1], KEYS[4], known)
end
return told(known, EXECUTION)
