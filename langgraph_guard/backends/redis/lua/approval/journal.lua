-- Put before the scripts of a desk and of an outbox: time, lists, and the chain of deeds that both write.
local unpack = table.unpack or unpack
local RETENTION, KEPT_DEEDS = 2592000, 10000

-- `..` and `tostring` would give 1e+15.
local function exact(number) return string.format('%.0f', number) end

-- An instant, to the last bit of it.
local function precise(seconds) return string.format('%.17g', seconds) end

-- Seconds since 1970: what was told, or what the server's clock says.
local function moment(told)
  if told ~= '' then return tonumber(told) end
  local now = redis.call('TIME')
  return now[1] + now[2] / 1000000
end

-- What to answer about something that a later release wrote.
local function unknown_version()
  return redis.error_reply('VERSION what is kept here has a format that this release does not know')
end

-- Words, each with its length before it, so that no two lists of words are one text.
local function framed(...)
  local words = {...}
  for at, word in ipairs(words) do words[at] = #word .. ':' .. word end
  return table.concat(words)
end

local function unframed(text)
  local words, at = {}, 1
  while at <= #text do
    local _, colon, size = string.find(text, '^(%d+):', at)
    at = colon + 1 + size
    words[#words + 1] = string.sub(text, colon + 1, at - 1)
  end
  return words
end

local function has(words, wanted)
  for _, word in ipairs(words) do
    if word == wanted then return true end
  end
  return false
end

-- What is kept at a key, by the names of its fields; nil when nothing is. And whether this release can read it.
local function fetched(key, fields)
  local found, record = redis.call('HMGET', key, unpack(fields)), {}
  if not found[1] then return nil, true end
  for at, field in ipairs(fields) do record[field] = found[at] or '' end
  return record, record.v == '1'
end

-- What is kept, as it is answered.
local function told(record, fields)
  local values = {}
  for at, field in ipairs(fields) do values[at] = record[field] end
  return values
end

-- Before anything is written: it looks whether both keys are ours. The end of the chain; nil for a later release's.
local function end_of(head, deeds)
  redis.call('LLEN', deeds)
  local found = redis.call('HMGET', head, 'v', 'number', 'hash')
  if found[1] and found[1] ~= '1' then return nil end
  return {head = head, deeds = deeds, number = tonumber(found[2] or 0), hash = found[3] or ''}
end

-- Chain a deed to the last. The first change is a removal: a server that is full lets a script go on that begins so.
local function chain(last, now, kind, subject, by, digest, detail)
  local number = exact(last.number + 1)
  local deed = framed('deed', number, exact(math.floor(now * 1000)), kind, subject, by, digest, detail, last.hash)
  local hash = sha256(deed)
  redis.call('LTRIM', last.deeds, 1 - KEPT_DEEDS, -1)
  redis.call('RPUSH', last.deeds, deed .. framed(hash))
  redis.call('HSET', last.head, 'v', '1', 'number', number, 'hash', hash)
  last.number, last.hash = last.number + 1, hash
end
