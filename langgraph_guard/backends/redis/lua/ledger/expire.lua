-- Close reservations whose lease has ended, one after the other, each of them whole.
-- KEYS: meta, leases, then as many holds, then owners
-- ARGV: 1 epoch  2 now ("" the server's)  3 number of holds, then for each its "owner … =id" in the leases,
--       then the names of the owners
-- Returns {"expired", "owner … =id" …} of those that it closed. The first change is a removal: a server that is full lets a script go on.
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now, count = moment(ARGV[2]), tonumber(ARGV[3])
local owners, closed = {}, {'expired'}
for at = 4 + count, #ARGV do owners[ARGV[at]] = KEYS[at - 1] end
for number = 1, count do
  local text = redis.call('GET', KEYS[2 + number])
  local hold = text and hold_of(text)
  if not hold or hold.state ~= 'held' then
    redis.call('ZREM', KEYS[2], ARGV[3 + number])
  elseif hold.deadline <= now then
    local keys = {}
    for name in string.gmatch(hold.names, '%S+') do keys[#keys + 1] = owners[name] end
    local changes = moved(hold, keys, function(_, granted) return hold.orphans == 'charge' and granted or 0 end)
    redis.call('ZREM', KEYS[2], ARGV[3 + number])
    write(keys, changes)
    local text = lines_of('expired', hold.fingerprint, hold.grants, hold.turn, hold.ends, hold.orphans, hold.names,
      hold.charges)
    redis.call('SET', KEYS[2 + number], text, 'PX', remembered(hold, now))
    closed[#closed + 1] = ARGV[3 + number]
  end
end
return closed
