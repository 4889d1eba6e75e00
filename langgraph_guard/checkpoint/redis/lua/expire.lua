-- Put before every script that writes to a thread.
local unpack = table.unpack or unpack

-- Give all keys of a thread one expiry, `ttl` ms from now; "" means that they stay for good.
local function expire(keys, ttl)
  if ttl ~= '' then
    local now = redis.call('TIME')
    local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
    for _, key in ipairs(keys) do redis.call('PEXPIREAT', key, at) end
  elseif redis.call('PTTL', keys[1]) >= 0 then
    for _, key in ipairs(keys) do redis.call('PERSIST', key) end
  end
end
