-- Make a thread of a log and blobs that were copied to their place.
-- KEYS: meta, entries, log, blobs   ARGV: 1 sid  2 gen  3 off  4 ttl in ms ("" none)
--       5 ms for which the indexes of its runs stay ("" for good, or no runs)  then members
-- Returns 1, or 0 when there is another thread.
local sid = redis.call('HGET', KEYS[1], 'sid')
redis.call('ZCARD', KEYS[2])
if sid and sid ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'v', 1, 'sid', ARGV[1], 'gen', ARGV[2], 'off', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'end', string.format('%.0f', ARGV[3] + redis.call('LLEN', KEYS[3])))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'till', string.format('%.0f', after(ARGV[5]))) end
for at = 6, #ARGV do redis.call('ZADD', KEYS[2], 0, ARGV[at]) end
-- COPY brought the source's expiry along.
for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
expire(KEYS, ARGV[4])
return 1
