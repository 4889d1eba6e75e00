-- Commit a checkpoint. Checks come first: once something was written, everything is.
-- KEYS: meta, entries, log, blobs
-- ARGV: 1 create ("1": the thread may be new)  2 sid  3 gen that the references rely on ("" none)
--       4 log length that the seals rely on ("" none)  5 ttl in ms ("" none)  6 elements pushed ahead of this script
--       7 ms for which the index of its run stays ("" for good, or no run)
--       8 key  9 record  10 number of elements, elements …, blob name, blob …
-- Returns {"ok" | "broken" | "unknown" | "version" | "stale" | "moved", sid, gen, off, base, version, 1 when indexes are due}
local meta, entries, log, blobs = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', meta, 'sid', 'gen', 'off', 'v', 'end')
local sid, gen, off = known[1], known[2] or '0', tonumber(known[3] or '0')
local pushed = tonumber(ARGV[6])
local length = redis.call('LLEN', log) - pushed
local base = off + length
local mapped = redis.call('ZCARD', entries)
redis.call('HLEN', blobs)

local function refuse(why)
  if pushed > 0 then redis.call('LTRIM', log, 0, -pushed - 1) end
  if not sid and mapped == 0 then redis.call('UNLINK', log, blobs) end
  return {why, sid or '', gen, off, base, known[4] or ''}
end

-- A part that is gone was evicted, or somebody deleted it. What is there cannot be told from what should be.
if sid and (mapped == 0 or base < tonumber(known[5] or '0')) then return refuse('broken') end
if not sid and mapped > 0 then return refuse('broken') end
if not sid then base = 0 end
if not sid and (ARGV[1] ~= '1' or ARGV[3] ~= '') then return refuse('unknown') end
if sid and known[4] ~= '1' then return refuse('version') end
if ARGV[3] ~= '' and (sid ~= ARGV[2] or gen ~= ARGV[3]) then return refuse('stale') end
if ARGV[4] ~= '' and ((sid and sid ~= ARGV[2]) or base ~= tonumber(ARGV[4])) then return refuse('moved') end

if not sid then
  sid = ARGV[2]
  redis.call('HSET', meta, 'v', 1, 'sid', sid, 'gen', 0, 'off', 0)
  -- Left of a batch of which not all was done.
  if length > 0 then redis.call('LTRIM', log, length, -1) end
end
if ARGV[7] ~= '' and not redis.call('HGET', meta, 'till') then
  redis.call('HSET', meta, 'till', string.format('%.0f', after(ARGV[7])))
end
local count = tonumber(ARGV[10])
redis.call('HINCRBY', meta, 'n', 1)
redis.call('HSET', meta, 'end', string.format('%.0f', base + pushed + count))
local last = 10 + count
for at = 11, last, 1000 do
  redis.call('RPUSH', log, unpack(ARGV, at, math.min(at + 999, last)))
end
for at = last + 1, #ARGV, 2 do
  redis.call('HSET', blobs, ARGV[at], ARGV[at + 1])
end
redis.call('ZREMRANGEBYLEX', entries, '[' .. ARGV[8], '(' .. ARGV[8] .. '\255')
redis.call('ZADD', entries, 0, ARGV[8] .. string.format('%.0f', base) .. ':' .. ARGV[9])
return {'ok', sid, gen, off, base, '1', expire(KEYS, ARGV[5])}
