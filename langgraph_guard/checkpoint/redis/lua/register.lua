-- Note that a thread exists, by the registry's own clock.
-- KEYS: registry   ARGV: 1 thread id
local now = redis.call('TIME')
return redis.call('ZADD', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
