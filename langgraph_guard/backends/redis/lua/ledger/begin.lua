-- Begin the books, or tell which there are. Reservations without a beginning are what is left of others.
-- KEYS: meta, leases   ARGV: 1 and 2 not used  3 a word by chance
-- Returns {"epoch", version, epoch, whether somebody accepted it}; the version is "broken" for such a rest
local found = redis.call('HMGET', KEYS[1], 'v', 'epoch', 'accepted')
if found[1] then return {'epoch', found[1], found[2] or '', found[3] or ''} end
if redis.call('ZCARD', KEYS[2]) > 0 then return {'epoch', 'broken', '', ''} end
local now = redis.call('TIME')
local epoch = string.format('%011.0f%06.0f-%s', now[1], now[2], ARGV[3])
redis.call('HSET', KEYS[1], 'v', '1', 'epoch', epoch)
return {'epoch', '1', epoch, ''}
