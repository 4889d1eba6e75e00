-- Put before every script: whether these are the books that the caller knows, what time it is, whose lease has ended.
local unpack = table.unpack or unpack

-- `..` and `tostring` would give 1e+15.
local function exact(number) return string.format('%.0f', number) end

local function moment(told)
  if told ~= '' then return tonumber(told) end
  local now = redis.call('TIME')
  return now[1] + now[2] / 1000000
end

-- nil when they are; else {"epoch", version, epoch, whether somebody accepted it}.
local function strange(meta, epoch)
  local found = redis.call('HMGET', meta, 'v', 'epoch', 'accepted')
  if found[1] == '1' and found[2] == epoch then return nil end
  return {'epoch', found[1] or '', found[2] or '', found[3] or ''}
end

-- Reservations whose lease has ended, a page of them: {"due", "owner … =id" …}; nil when there is none.
local function due(leases, now)
  local found = redis.call('ZRANGEBYSCORE', leases, '-inf', string.format('%.17g', now), 'LIMIT', 0, 25)
  if #found == 0 then return nil end
  table.insert(found, 1, 'due')
  return found
end
