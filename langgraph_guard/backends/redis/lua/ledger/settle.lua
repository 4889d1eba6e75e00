-- Close a reservation with what it cost.
-- KEYS: meta, leases, hold, owner …
-- ARGV: 1 epoch  2 now ("" the server's)  3 "=id"  4 names of the owners  5 the reservation, as its maker was told ("" is
--       another's)  6 what it cost, as one word, then unit, amount …
-- Returns {"closed", overrun as "unit=amount" …} | {"conflict", state} | {"owners", their names}
-- The first change is a removal: a server that is full lets a script go on that has begun so.
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local text = redis.call('GET', KEYS[3])
-- One that its maker remembers and the books do not was lost in a fail-over: it is charged all the same.
local lost = not text
if lost and ARGV[5] == '' then return {'conflict', 'unknown'} end
local hold = hold_of(text or ARGV[5])
if lost and hold.deadline + REMEMBERED_MS / 1000 <= now then return {'conflict', 'unknown'} end
if hold.state == 'released' or (hold.state == 'settled' and hold.actual ~= ARGV[6]) then
  return {'conflict', hold.state}
end
if hold.state == 'settled' then return {'closed', hold.overrun} end
if hold.names ~= ARGV[4] then return {'owners', hold.names} end

local keys = {unpack(KEYS, 4)}
local actual, over, words = {}, {}, {}
for at = 7, #ARGV, 2 do actual[ARGV[at]] = tonumber(ARGV[at + 1]) end
local changes = moved(hold, keys, function(unit, granted)
  local paid = actual[unit] or granted
  if paid - granted > (over[unit] or 0) then over[unit] = paid - granted end
  return paid
end, lost)
for unit, excess in pairs(over) do words[#words + 1] = unit .. '=' .. exact(excess) end
table.sort(words)
local overrun = table.concat(words, ' ')

redis.call('ZREM', KEYS[2], hold.names .. ' ' .. ARGV[3])
write(keys, changes)
redis.call('SET', KEYS[3], lines_of('settled', hold.fingerprint, hold.grants, hold.turn, ARGV[6], overrun),
  'PX', remembered(hold, now))
return {'closed', overrun}
