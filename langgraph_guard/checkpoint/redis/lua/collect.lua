-- Remove checkpoints with their writes, and what only they named. Nothing happens if anyone wrote since the caller looked.
-- KEYS: meta, entries, log, blobs, then indexes of runs that have nothing here any more
-- ARGV: 1 sid  2 gen and  3 n that the caller saw  4 thread id  5 first log entry that stays  6 number of spans, low, high …
--       then number of members to add, member …, number of log entries to empty, index …, blob name …
-- Returns 1, or 0 when somebody wrote or removed something meanwhile. The first change has to be a removal: a server that
-- is full lets a script go on that has begun so.
local meta, entries, log, blobs = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', meta, 'sid', 'gen', 'n', 'off')
redis.call('ZCARD', entries)
redis.call('HLEN', blobs)
redis.call('LLEN', log)
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] or known[3] ~= ARGV[3] then return 0 end

-- A map that is empty for a moment is another key, without an expiry.
local left = redis.call('PTTL', meta)
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  redis.call('ZREMRANGEBYLEX', entries, ARGV[at], ARGV[at + 1])
  at = at + 2
end
redis.call('HINCRBY', meta, 'gen', 1)
local members = tonumber(ARGV[at])
for place = at + 1, at + members do redis.call('ZADD', entries, 0, ARGV[place]) end
at = at + members + 1
local empty, off = tonumber(ARGV[at]), tonumber(known[4])
for place = at + 1, at + empty do redis.call('LSET', log, tonumber(ARGV[place]) - off, '') end
for place = at + empty + 1, #ARGV do redis.call('HDEL', blobs, ARGV[place]) end
local first = tonumber(ARGV[5])
if first > off then
  redis.call('LTRIM', log, first - off, -1)
  redis.call('HSET', meta, 'off', string.format('%.0f', first))
end
if left > 0 then expire({meta, entries, log, blobs}, left) end
if redis.call('ZCARD', entries) == 0 then redis.call('UNLINK', meta, entries, log, blobs) end
for place = 5, #KEYS do redis.call('SREM', KEYS[place], ARGV[4]) end
return 1
