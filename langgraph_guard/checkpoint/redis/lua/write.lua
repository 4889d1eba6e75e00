-- Add pending writes, also before their checkpoint. An ordinary one stays as it was first written, a special one as it was last.
-- KEYS: meta, entries, log, blobs
-- ARGV: 1 create ("1": the thread may be new)  2 sid  3 whether seals rely on it  4 ttl in ms ("" none)
--       then for each write: "first" | "last", key, value
-- Returns {"ok" | "broken" | "unknown" | "version" | "moved", sid, gen, off, version, 1 when indexes are due}
local meta, entries, blobs = KEYS[1], KEYS[2], KEYS[4]
local known = redis.call('HMGET', meta, 'sid', 'gen', 'off', 'v')
local sid, gen, off = known[1], known[2] or '0', tonumber(known[3] or '0')
local mapped = redis.call('ZCARD', entries)
redis.call('HLEN', blobs)
if (sid and mapped == 0) or (not sid and mapped > 0) then return {'broken', sid or '', gen, off, known[4] or ''} end
if not sid then
  if ARGV[1] ~= '1' then
    redis.call('UNLINK', blobs)
    return {'unknown', '', gen, off, ''}
  end
  sid = ARGV[2]
  redis.call('HSET', meta, 'v', 1, 'sid', sid, 'gen', 0, 'off', 0)
end
if known[1] and known[4] ~= '1' then return {'version', sid, gen, off, known[4] or ''} end
if ARGV[3] == '1' and sid ~= ARGV[2] then return {'moved', sid, gen, off, '1'} end
redis.call('HINCRBY', meta, 'n', 1)
for at = 5, #ARGV, 3 do
  local key = ARGV[at + 1]
  local low, high = '[' .. key, '(' .. key .. '\255'
  if ARGV[at] == 'last' then redis.call('ZREMRANGEBYLEX', entries, low, high) end
  if redis.call('ZLEXCOUNT', entries, low, high) == 0 then redis.call('ZADD', entries, 0, key .. ARGV[at + 2]) end
end
return {'ok', sid, gen, off, '1', expire(KEYS, ARGV[4])}
