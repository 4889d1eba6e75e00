-- Put off the end of a lease, and of the owners that go by themselves.
-- KEYS: meta, leases, hold, owner …   ARGV: 1 epoch  2 now ("" the server's)  3 "=id"  4 names of the owners  5 lease
-- Returns {"extended", 1 when it is open} | {"owners", their names}
-- The first change is a removal: a server that is full lets a script go on that has begun so.
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local text = redis.call('GET', KEYS[3])
local hold = text and hold_of(text)
if not hold or hold.state ~= 'held' or hold.deadline <= now then return {'extended', 0} end
if hold.names ~= ARGV[4] then return {'owners', hold.names} end
local deadline = now + tonumber(ARGV[5])
if deadline <= hold.deadline then return {'extended', 1} end

local ends, member = string.format('%.17g', deadline), hold.names .. ' ' .. ARGV[3]
redis.call('ZREM', KEYS[2], member)
redis.call('SET', KEYS[3], lines_of('held', hold.fingerprint, hold.grants, hold.turn, ends, hold.orphans, hold.names,
  hold.charges, hold.asked))
redis.call('ZADD', KEYS[2], ends, member)
local needed = (deadline - now) * 1000 + REMEMBERED_MS
for at = 4, #KEYS do
  -- `till` is left as it is, so that the next reservation puts the owner into the index again.
  local left = redis.call('PTTL', KEYS[at])
  if left >= 0 and left < needed then redis.call('PEXPIRE', KEYS[at], exact(needed + REMEMBERED_MS)) end
end
return {'extended', 1}
