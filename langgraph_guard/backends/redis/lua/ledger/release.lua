-- Close a reservation that cost nothing. An id that nobody reserved is closed for good.
-- KEYS: meta, leases, hold, owner …
-- ARGV: 1 epoch  2 now ("" the server's)  3 "=id"  4 names of the owners  5 fingerprint of a reservation of nothing
--       6 "forget": as if it had never been made
-- Returns {"closed", ""} | {"conflict", state} | {"owners", their names}
-- The first change is a removal: a server that is full lets a script go on that has begun so.
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local text = redis.call('GET', KEYS[3])
if not text then
  if ARGV[6] == 'forget' then return {'closed', ''} end
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('SET', KEYS[3], lines_of('released', ARGV[5], '', '= 0'), 'PX', exact(REMEMBERED_MS))
  return {'closed', ''}
end
local hold = hold_of(text)
if hold.state == 'settled' then return {'conflict', hold.state} end
if hold.state == 'released' then return {'closed', ''} end
if hold.names ~= ARGV[4] then return {'owners', hold.names} end
local keys = {unpack(KEYS, 4)}
local changes = moved(hold, keys, function() return 0 end)

redis.call('ZREM', KEYS[2], hold.names .. ' ' .. ARGV[3])
write(keys, changes)
if ARGV[6] == 'forget' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], lines_of('released', hold.fingerprint, hold.grants, hold.turn), 'PX', remembered(hold, now))
end
return {'closed', ''}
