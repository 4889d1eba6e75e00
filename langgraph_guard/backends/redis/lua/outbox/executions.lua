-- Put before the scripts of an outbox: how an execution is kept, and what time makes of it.
local EXECUTION = {'v', 'state', 'owner', 'fence', 'at', 'ends_at', 'result', 'approval'}

-- Its place among those that have not ended: when its lease ends, and the end of its key, which is a hash.
local function place_of(key, known)
  return string.format('%026.9f ', known.ends_at) .. string.sub(key, -64)
end

-- What is known of it; nil when nothing is, or it ended too long ago. Whether this release can read it, and whether its
-- lease has ended, and nobody has written that down.
local function execution_of(key, now)
  local known, readable = fetched(key, EXECUTION)
  if not known or not readable then return nil, readable, false end
  local ended = known.state == 'done' or known.state == 'failed'
  if ended and known.at + RETENTION <= now then return nil, true, false end
  if not ended then known.place = place_of(key, known) end
  local lapsed = known.state == 'started' and tonumber(known.ends_at) <= now
  if lapsed then known.state = 'in_doubt' end
  return known, true, lapsed
end

-- One that ended goes after a month.
local function keep_execution(key, begun, known)
  local changes = {}
  for _, field in ipairs(EXECUTION) do changes[#changes + 1], changes[#changes + 2] = field, known[field] end
  redis.call('HSET', key, unpack(changes))
  if known.place then redis.call('ZREM', begun, known.place) end
  if known.state == 'done' or known.state == 'failed' then
    redis.call('PEXPIRE', key, exact(RETENTION * 1000))
  else
    redis.call('PERSIST', key)
    redis.call('ZADD', begun, 0, place_of(key, known))
  end
end

-- `subject`: what deeds call it.
local function chain_execution(last, now, known, kind, subject, digest)
  chain(last, now, kind, subject, known.owner, digest, known.approval)
end
