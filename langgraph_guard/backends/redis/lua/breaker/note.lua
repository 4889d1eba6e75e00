-- Put before the scripts of what people do. A record of it, the newest hundred, for a year after the last one; for as
-- long as a circuit is held open it stays. Returns whether the command is new: its answer may have been lost.
local function note(key, now, mark, action, by, reason, before)
  local last = redis.call('LINDEX', key, -1)
  if last and cjson.decode(last).mark == mark then return false end
  local said = {v = 1, at = now, action = action, by = by, reason = reason, before = before, mark = mark}
  redis.call('RPUSH', key, cjson.encode(said))
  redis.call('LTRIM', key, -100, -1)
  if action == 'force_open' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, 31536000000)
  end
  return true
end
