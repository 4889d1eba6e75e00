-- Accept the books as they are, whatever became of others: who knows an older epoch goes on with this one.
-- KEYS: meta, audit   ARGV: 1 not used  2 now ("" the server's)  3 a word by chance  4 the record of who and why
local found = redis.call('HMGET', KEYS[1], 'v')
redis.call('LLEN', KEYS[2])
if found[1] and found[1] ~= '1' then return {'epoch', found[1], '', ''} end
local now = redis.call('TIME')
local epoch = string.format('%011.0f%06.0f-%s', now[1], now[2], ARGV[3])
redis.call('HSET', KEYS[1], 'v', '1', 'epoch', epoch, 'accepted', '1')
audit(KEYS[2], moment(ARGV[2]), ARGV[4])
return {'epoch', '1', epoch, '1'}
