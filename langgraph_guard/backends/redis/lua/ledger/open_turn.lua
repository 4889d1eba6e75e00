-- Make a turn the one that the session's next calls are charged to.
-- KEYS: meta, owner, index, ends   ARGV: 1 epoch  2 now ("" the server's)  3 name in the index  4 "=turn number"
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local known = redis.call('HMGET', KEYS[2], 'turn', 'till')
if known[1] == ARGV[4] then return {'done'} end
local till = new_till(known[2], nil, KEYS[3], KEYS[4])
redis.call('HSET', KEYS[2], 'turn', ARGV[4], 'till', '0')
if till then stay(KEYS[2], till, KEYS[3], KEYS[4], ARGV[3], moment(ARGV[2])) end
return {'done'}
