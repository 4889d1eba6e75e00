-- Note that a run wrote to a thread, and keep the index for a while. Without a thread: only keep it longer.
-- KEYS: index   ARGV: 1 ms for which it stays at least ("" for good)  2 thread id
local left = redis.call('PTTL', KEYS[1])
if ARGV[2] then redis.call('SADD', KEYS[1], ARGV[2]) end
if ARGV[1] == '' then
  redis.call('PERSIST', KEYS[1])
elseif left ~= -1 and left < tonumber(ARGV[1]) then
  -- GT would say it shorter, from Redis 7 on.
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', after(ARGV[1])))
end
return 1
