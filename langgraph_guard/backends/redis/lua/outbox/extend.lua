-- Put the end of a lease off.
-- KEYS: execution
-- ARGV: 1 now ("" the server's)  2 fence  3 seconds
-- Returns whether it is the caller's
-- The first change is no growth: a server that is full lets a script go on that begins so.
local now = moment(ARGV[1])
local known, readable = execution_of(KEYS[1], now)
if not readable then return unknown_version() end
if not known or known.state ~= 'started' or known.fence ~= ARGV[2] then return 0 end
redis.call('PERSIST', KEYS[1])
redis.call('HSET', KEYS[1], 'ends_at', precise(math.max(tonumber(known.ends_at), now + ARGV[3])))
return 1
