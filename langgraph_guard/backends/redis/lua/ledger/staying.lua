-- How long an owner stays. One that has only windowed accounts, or ends with its run, goes by itself: `till` says when
-- (seconds since 1970), "0" means never. Whoever has a `till` is in the index.
local REMEMBERED = 3600
-- Putting it off costs three commands, so it is put off by more than is needed.
local AHEAD = 3600

-- When an account may go: the end of the second period after this one, or of the run; nil for never.
local function needed_by(ends, length, with_run, deadline)
  if with_run then return deadline + REMEMBERED end
  return ends and math.max(ends + 2 * length, deadline + REMEMBERED)
end

-- What `till` must become; nil when it may stay. Before the first write: it looks whether the keys are ours.
local function new_till(till, needed, index, ends)
  if till == '0' or (till and needed and tonumber(till) >= needed) then return nil end
  redis.call('ZCARD', index)
  redis.call('ZCARD', ends)
  return needed and exact(math.ceil(needed + AHEAD)) or '0'
end

-- After the owner was written with that `till`.
local function stay(key, till, index, ends, member, now)
  redis.call('ZADD', index, 0, member)
  if till == '0' then
    redis.call('PERSIST', key)
    redis.call('ZREM', ends, member)
  else
    -- By the time that is left, because the caller's clock may be a test's.
    redis.call('PEXPIRE', key, exact((till - now) * 1000))
    redis.call('ZADD', ends, till, member)
  end
  local gone = redis.call('ZRANGEBYSCORE', ends, '-inf', string.format('%.17g', now), 'LIMIT', 0, 8)
  if #gone > 0 then
    redis.call('ZREM', ends, unpack(gone))
    redis.call('ZREM', index, unpack(gone))
  end
end
