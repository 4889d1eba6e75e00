-- How circuits stand. Changes nothing.
-- KEYS: circuits
-- ARGV: 1 now in ms ("": the server's)  2 permitted probes  3 bucket in ms
-- Returns for each {state, whether it admits, when again, in how many ms, since, why, generation, openings in a row,
-- calls, failures, slow calls}
local now, permitted, found = instant(ARGV[1]), tonumber(ARGV[2]), {}
for number, key in ipairs(KEYS) do
  local circuit, readable = fetch(key)
  if not readable then return unknown_version() end
  circuit = as_of(circuit, now, '')
  local admits = circuit.state == 'closed' or (circuit.state == 'half_open' and places(circuit, permitted) > 0)
  local at, wait = again(circuit, now)
  local calls, failures, slow = circuit.calls, circuit.failures, circuit.slow
  if circuit.state == 'closed' then
    local _
    _, calls, failures, slow = window(circuit, now, tonumber(ARGV[3]))
  end
  found[number] = {
    circuit.state, admits and 1 or 0, not admits and at, not admits and wait, circuit.since, circuit.reason,
    circuit.generation, circuit.opened, calls, failures, slow,
  }
end
return found
