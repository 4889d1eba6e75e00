-- Put before every script of a circuit: how it is kept, and the rules of policies/breaker/rules.py about time.
-- All figures are whole numbers below 2^53, which doubles hold exactly; math.floor(a / b) is Python's a // b there.
local unpack = table.unpack or unpack
local MOMENT, RETENTION, UNASKED = 1000, 3600000, 2592000000
local LEADS_TO = {
  failure_rate = 'open', slow_call_rate = 'open', rate_limited = 'open', wait_is_over = 'half_open',
  probes_succeeded = 'closed', forced_open = 'forced_open', reset = 'closed',
}

-- What to answer about a circuit that a later release wrote.
local function unknown_version()
  return redis.error_reply('VERSION the circuit has a format that this release does not know')
end

-- Milliseconds since 1970: what was told, or what the server's clock says.
local function instant(told)
  if told ~= '' then return tonumber(told) end
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

-- A circuit in which nothing was counted yet. Of its buckets only the newest is taken apart: most results go there.
local function emptied(circuit)
  circuit.v, circuit.leases, circuit.marks = 1, {}, ''
  circuit.calls, circuit.failures, circuit.slow, circuit.bucket, circuit.older = 0, 0, 0, {0, 0, 0, 0}, ''
  return circuit
end

-- The circuit, and whether this release can read it.
local function fetch(key)
  local text = redis.call('GET', key)
  if text then
    local circuit = cjson.decode(text)
    return circuit, circuit.v == 1
  end
  return emptied({
    state = 'closed', generation = 0, reason = '', since = 0, retry_at = 0, opened = 0, by = '', before = '',
  }), true
end

-- Keep it for as long as it says anything: a closed one for `kept` ms, and an hour more when it was open once, since
-- calls of its older generations may be under way; one that is open for thirty days after it may be tried; one that
-- is held open for good.
local function keep(key, circuit, now, kept)
  local text = cjson.encode(circuit)
  if circuit.state == 'forced_open' then
    redis.call('SET', key, text)
  elseif circuit.state == 'closed' then
    redis.call('SET', key, text, 'PX', kept + (circuit.generation > 0 and RETENTION or 0))
  else
    redis.call('SET', key, text, 'PX', math.max(0, circuit.retry_at - now) + UNASKED)
  end
end

-- The circuit after `event`, which the command `mark` brought about.
local function move(circuit, event, now, mark, opened, retry_at)
  return emptied({
    state = LEADS_TO[event], generation = circuit.generation + 1, reason = event, since = now, by = mark,
    retry_at = retry_at or 0, opened = opened or circuit.opened, before = circuit.state,
  })
end

-- How it stands, and what the command `mark` changed: also when it comes for the second time, its answer being lost.
local function told(circuit, mark)
  if circuit.by ~= mark or circuit.before == circuit.state then return {circuit.state, circuit.generation} end
  return {circuit.state, circuit.generation, circuit.before, circuit.reason, circuit.retry_at}
end

-- The circuit as time alone has made it, and whether that is another one: waits that are over, leases that have ended,
-- and a clock that was set back, which must not make anything wait for ever.
local function as_of(circuit, now, mark)
  local set_back = now + MOMENT < circuit.since
  if circuit.state == 'open' and (circuit.retry_at <= now or set_back) then
    return move(circuit, 'wait_is_over', now, mark), true
  end
  if set_back then
    circuit.since, circuit.leases = now, {}
    return circuit, true
  end
  local live = {}
  for _, lease in ipairs(circuit.leases) do
    if lease[2] > now then live[#live + 1] = lease end
  end
  local ended = #live < #circuit.leases
  circuit.leases = live
  return circuit, ended
end

-- The buckets of a closed circuit that count now, as text, and what is in them. A clock that was set back a little
-- leaves some ahead of it; they count as well.
local function window(circuit, now, bucket_ms)
  local number, found, calls, failures, slow = math.floor(now / bucket_ms), {}, 0, 0, 0
  local all = circuit.older .. string.format('%.0f %.0f %.0f %.0f ', unpack(circuit.bucket))
  for bucket, its, failed, dragged in string.gmatch(all, '(%d+) (%d+) (%d+) (%d+) ') do
    if tonumber(its) > 0 and math.abs(tonumber(bucket) - number) < 10 then
      found[#found + 1] = string.format('%s %s %s %s ', bucket, its, failed, dragged)
      calls, failures, slow = calls + tonumber(its), failures + tonumber(failed), slow + tonumber(dragged)
    end
  end
  return table.concat(found), calls, failures, slow
end

-- Places that a half-open circuit has: neither taken, nor used.
local function places(circuit, permitted)
  return permitted - #circuit.leases - circuit.calls
end

-- When a call is worth another try, and in how many ms; false when no time is known.
local function again(circuit, now)
  local at = circuit.retry_at > 0 and circuit.retry_at or false
  if circuit.state == 'half_open' then
    at = false
    for _, lease in ipairs(circuit.leases) do
      if not at or lease[2] < at then at = lease[2] end
    end
  end
  return at, at and math.max(0, at - now)
end
