-- Raise what an account has spent to a figure, where it is less.
-- KEYS: meta, leases, owner, index, ends
-- ARGV: 1 epoch  2 now ("" the server's)  3 name in the index  4 "1" when it ends with its run  5 window  6 field
--       7 turn  8 figure
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local late = due(KEYS[2], now)
if late then return late end
local known = redis.call('HMGET', KEYS[3], 'till', ARGV[6])
local id, ends, length = period(ARGV[5], now, ARGV[7])
local spent, reserved, credit, history = find(known[2], id)
local total = tonumber(ARGV[8])
if spent >= total then return {'done'} end
local till = new_till(known[1], needed_by(ends, length, ARGV[4] == '1', now), KEYS[4], KEYS[5])
redis.call('HSET', KEYS[3], 'till', till or known[1], ARGV[6], put(history, id, total, reserved, credit))
if till then stay(KEYS[3], till, KEYS[4], KEYS[5], ARGV[3], now) end
return {'done'}
