-- All that owners have. One that is gone leaves the index.
-- KEYS: meta, index, owner …   ARGV: 1 epoch  2 now ("" the server's), then their names in the index
-- Returns {"survey", now, {field, value …} …}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local found = {'survey', string.format('%.17g', moment(ARGV[2]))}
for number = 3, #KEYS do
  found[number] = redis.call('HGETALL', KEYS[number])
  if #found[number] == 0 then redis.call('ZREM', KEYS[2], ARGV[number]) end
end
return found
