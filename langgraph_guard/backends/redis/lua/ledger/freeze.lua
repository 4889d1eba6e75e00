-- Refuse every reservation on an owner's accounts, or do so no longer.
-- KEYS: meta, owner, index, ends, audit   ARGV: 1 epoch  2 now ("" the server's)  3 name in the index  4 "1" | "0"
--       5 the record of who and why
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local known = redis.call('HMGET', KEYS[2], 'till', 'frozen')
redis.call('LLEN', KEYS[5])
if (known[2] or '0') == ARGV[4] then return {'done'} end
if ARGV[4] == '1' then
  local till = new_till(known[1], nil, KEYS[3], KEYS[4])
  redis.call('HSET', KEYS[2], 'frozen', '1', 'till', '0')
  if till then stay(KEYS[2], till, KEYS[3], KEYS[4], ARGV[3], now) end
else
  redis.call('HDEL', KEYS[2], 'frozen')
end
audit(KEYS[5], now, ARGV[5])
return {'done'}
