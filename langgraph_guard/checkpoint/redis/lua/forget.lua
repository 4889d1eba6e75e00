-- Drop threads that were found to be gone, unless someone registered them lately: that one may be about to write.
-- KEYS: registry   ARGV: 1 age in ms  then thread ids
local now = redis.call('TIME')
local cutoff = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1]
local gone = 0
for at = 2, #ARGV do
  local registered = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if registered and tonumber(registered) <= cutoff then gone = gone + redis.call('ZREM', KEYS[1], ARGV[at]) end
end
return gone
