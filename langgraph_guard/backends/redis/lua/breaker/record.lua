-- How a call ended.
-- KEYS: circuit
-- ARGV: 1 now in ms ("": the server's)  2 mark of the command  3 permit  4 its generation  5 kind of the outcome
--       6 whether the call was slow  7 ms that the service asked to wait ("": none)  8 chance in thousandths
--       9 ms for which a closed circuit is kept  10 failure rate  11 slow rate  12 minimum  13 bucket in ms
--       14 wait in ms  15 back-off  16 longest wait in ms  17 jitter  18 permitted probes
-- Returns {state, generation}, and when it changed the state also {…, the state before, why, when again}
local MILLION, MARKS = 1000000, 144  -- characters of marks: of the last sixteen results

-- How long this opening in a row takes.
local function wait_ms(opened)
  local wait, backoff, longest = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
  for _ = 2, opened do
    local longer = math.floor(wait * backoff / 1000)
    if wait >= longest or longer == wait then break end
    wait = longer
  end
  wait = math.min(wait, longest)
  local spread = tonumber(ARGV[17]) * (2 * tonumber(ARGV[8]) - 1000)
  return math.max(1, math.min(wait + math.floor(wait * spread / MILLION), longest))
end

local function open(circuit, event, now, asked)
  local opened = circuit.opened + 1
  return move(circuit, event, now, ARGV[2], opened, now + (asked or wait_ms(opened)))
end

local function count(circuit, now, failed, slow)
  local bucket_ms = tonumber(ARGV[13])
  local number = circuit.state == 'closed' and math.floor(now / bucket_ms) or 0
  if circuit.bucket[1] ~= number then
    circuit.older, circuit.calls, circuit.failures, circuit.slow = window(circuit, now, bucket_ms)
    circuit.bucket = {number, 0, 0, 0}
  end
  local bucket = circuit.bucket
  bucket[2], bucket[3], bucket[4] = bucket[2] + 1, bucket[3] + failed, bucket[4] + slow
  circuit.calls, circuit.failures, circuit.slow = circuit.calls + 1, circuit.failures + failed, circuit.slow + slow
end

-- Open it if too much failed, or close it if enough succeeded.
local function judged(circuit, now)
  local calls, failures, slow = circuit.calls, circuit.failures, circuit.slow
  local probing, of, permitted = circuit.state == 'half_open', calls, tonumber(ARGV[18])
  if probing then of = permitted elseif calls < tonumber(ARGV[12]) or failures + slow == 0 then return circuit end
  if failures * MILLION >= tonumber(ARGV[10]) * of then return open(circuit, 'failure_rate', now) end
  if slow * MILLION >= tonumber(ARGV[11]) * of then return open(circuit, 'slow_call_rate', now) end
  if probing and calls >= permitted then return move(circuit, 'probes_succeeded', now, ARGV[2], 0) end
  return circuit
end

-- Whether this command was counted before. Its answer was lost, and few others came between.
local function counted(circuit)
  local mark = ARGV[2] .. ' '
  if string.find(circuit.marks, mark, 1, true) then return true end
  circuit.marks = string.sub(circuit.marks .. mark, -MARKS)
  return false
end

local function leave(circuit, permit)
  for at, lease in ipairs(circuit.leases) do
    if lease[1] == permit then
      table.remove(circuit.leases, at)
      return true
    end
  end
  return false
end

local circuit, readable = fetch(KEYS[1])
if not readable then return unknown_version() end
local counts = tonumber(ARGV[4]) == circuit.generation and (circuit.state == 'closed' or circuit.state == 'half_open')
if not counts then return told(circuit, ARGV[2]) end
local now, kind = instant(ARGV[1]), ARGV[5]
local says_nothing = kind == 'ignored' or kind == 'cancelled'
if circuit.state == 'half_open' then
  circuit = as_of(circuit, now, ARGV[2])
  if not leave(circuit, ARGV[3]) then return told(circuit, ARGV[2]) end
elseif says_nothing or counted(circuit) then
  return told(circuit, ARGV[2])
end
if kind == 'rate_limited' then
  circuit = open(circuit, kind, now, tonumber(ARGV[7]))
elseif not says_nothing then
  count(circuit, now, kind == 'failure' and 1 or 0, tonumber(ARGV[6]))
  circuit = judged(circuit, now)
end
keep(KEYS[1], circuit, now, tonumber(ARGV[9]))
return told(circuit, ARGV[2])
