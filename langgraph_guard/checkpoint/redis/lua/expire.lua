-- Put before every script that writes to a thread.
local unpack = table.unpack or unpack

-- The server's clock, `ms` from now.
local function after(ms)
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000) + ms
end

-- Give all keys of a thread one expiry, `ttl` ms from now; "" means that they stay for good.
-- Returns 1 when the indexes of its runs have to be prolonged, else 0. They stay until `till`; a thread that is looked
-- at once in a ttl is at its end before they are, even if one prolonging fails.
local function expire(keys, ttl)
  local till = redis.call('HGET', keys[1], 'till')
  if ttl == '' then
    if redis.call('PTTL', keys[1]) >= 0 then
      for _, key in ipairs(keys) do redis.call('PERSIST', key) end
    end
    return till and 1 or 0
  end
  local at = after(ttl)
  for _, key in ipairs(keys) do redis.call('PEXPIREAT', key, string.format('%.0f', at)) end
  return till and (tonumber(till) or 0) < at + ttl and 1 or 0
end
