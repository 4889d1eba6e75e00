-- Correct what an account has spent, or give it more room.
-- KEYS: meta, leases, the adjustment, owner, index, ends, audit
-- ARGV: 1 epoch  2 now ("" the server's)  3 name in the index  4 "1" when it ends with its run  5 window  6 field
--       7 "=turn" ("" the open one)  8 by how much it spent more  9 and has more room  10 fingerprint  11 the record
-- One that was made already is not made again.
-- Returns {"adjusted", spent, reserved, period, credit, frozen} | {"conflict"}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local known = redis.call('GET', KEYS[3])
if known and known ~= ARGV[10] then return {'conflict'} end
local late = due(KEYS[2], now)
if late then return late end

redis.call('LLEN', KEYS[7])
local found = redis.call('HMGET', KEYS[4], 'turn', 'till', 'frozen', ARGV[6])
local turn = found[1] and string.match(found[1], '^=(%S*) ') or ''
if ARGV[7] ~= '' then turn = string.sub(ARGV[7], 2) end
local id, ends, length = period(ARGV[5], now, turn)
local spent, reserved, credit, history = find(found[4], id)
if not known then
  local till = new_till(found[2], needed_by(ends, length, ARGV[4] == '1', now), KEYS[5], KEYS[6])
  spent = math.min(LARGEST, math.max(0, spent + tonumber(ARGV[8])))
  credit = math.min(LARGEST, math.max(0, credit + tonumber(ARGV[9])))
  redis.call('HSET', KEYS[4], 'till', till or found[2], ARGV[6], put(history, id, spent, reserved, credit))
  if till then stay(KEYS[4], till, KEYS[5], KEYS[6], ARGV[3], now) end
  audit(KEYS[7], now, ARGV[11])
  redis.call('SET', KEYS[3], ARGV[10], 'PX', 3600000)
end
return {'adjusted', exact(spent), exact(reserved), id, exact(credit), found[3] == '1' and '1' or ''}
