-- Put the end of a lease off.
-- KEYS: execution, executions that have not ended
-- ARGV: 1 now ("" the server's)  2 fence  3 seconds
-- Returns whether it is the caller's
-- The first change is a removal: a server that is full lets a script go on that begins so.
local now = moment(ARGV[1])
local known, readable = execution_of(KEYS[1], now)
if not readable then return unknown_version() end
if not known or known.state ~= 'started' or known.fence ~= ARGV[2] then return 0 end
known.ends_at = precise(math.max(tonumber(known.ends_at), now + ARGV[3]))
redis.call('ZREM', KEYS[2], known.place)
redis.call('ZADD', KEYS[2], 0, place_of(KEYS[1], known))
redis.call('HSET', KEYS[1], 'ends_at', known.ends_at)
return 1
