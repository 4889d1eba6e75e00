-- Close those whose time is over.
-- KEYS: open requests, head of the chain, deeds, then requests
-- ARGV: 1 now ("" the server's)  2 mark of the command, then the place of each among the open ones
-- Returns how many, also when it comes for the second time, its answer being lost.
-- The first change is a removal: a server that is full lets a script go on that begins so.
local now, mark, closed = moment(ARGV[1]), ARGV[2], 0
local last = end_of(KEYS[2], KEYS[3])
if not last then return unknown_version() end
local found = {}
for number = 4, #KEYS do
  local approval, readable = approval_of(KEYS[number], now)
  if not readable then return unknown_version() end
  found[number] = approval
end
for number = 4, #KEYS do
  local approval, key = found[number], KEYS[number]
  if approval and as_of(approval, now) then
    redis.call('ZREM', KEYS[1], ARGV[number - 1])
    expire(key, KEYS[1], last, approval, now)
    redis.call('HSET', key, 'swept', mark)
    closed = closed + 1
  elseif not approval or approval.state ~= 'pending' then
    redis.call('ZREM', KEYS[1], ARGV[number - 1])
    if approval and redis.call('HMGET', key, 'swept')[1] == mark then closed = closed + 1 end
  end
end
return closed
