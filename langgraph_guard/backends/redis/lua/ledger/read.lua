-- Fields of owners, and the time.
-- KEYS: meta, leases, owner …
-- ARGV: 1 epoch  2 now ("" the server's), then for each owner how many fields, field …
-- Returns {"read", now, {value …} …}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local late = due(KEYS[2], now)
if late then return late end
local found, at = {'read', string.format('%.17g', now)}, 3
for number = 3, #KEYS do
  local last = at + tonumber(ARGV[at])
  found[number] = redis.call('HMGET', KEYS[number], unpack(ARGV, at + 1, last))
  at = last + 1
end
return found
