-- How an execution ended, in its owner's words, which count also when they come late.
-- KEYS: execution, head of the chain, deeds, executions that have not ended
-- ARGV: 1 now ("" the server's)  2 what deeds call it  3 digest  4 fence  5 "done", "failed" or "in_doubt"  6 result
-- Returns whether it is so. The first change is a removal: a server that is full lets a script go on that begins so.
local now, state = moment(ARGV[1]), ARGV[5]
local known, readable, lapsed = execution_of(KEYS[1], now)
local last = end_of(KEYS[2], KEYS[3])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[4])
if not known or known.fence ~= ARGV[4] then return 0 end
if known.state == 'in_doubt' and state == 'in_doubt' then
  if not lapsed then return 1 end
elseif known.state == 'done' or (known.state == 'failed' and state ~= 'done') then
  return known.state == state and known.result == ARGV[6] and 1 or 0
else
  known.state, known.at, known.result = state, precise(now), ARGV[6]
  if state == 'in_doubt' and now < tonumber(known.ends_at) then known.ends_at = precise(now) end
end
chain_execution(last, now, known, state, ARGV[2], ARGV[3])
keep_execution(KEYS[1], KEYS[4], known)
return 1
