-- Note until when the indexes of a thread's runs stay.
-- KEYS: meta   ARGV: 1 sid  2 ms ("" for good)
if redis.call('HGET', KEYS[1], 'sid') ~= ARGV[1] then return 0 end
-- A server that is full lets a script write that has removed something before.
redis.call('HDEL', KEYS[1], 'till')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'till', string.format('%.0f', after(ARGV[2]))) end
return 1
