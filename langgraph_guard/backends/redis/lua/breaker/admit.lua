-- May a call be made?
-- KEYS: circuit
-- ARGV: 1 now in ms ("": the server's)  2 mark of the command  3 permit  4 permitted probes  5 lease in ms
--       6 ms for which a closed circuit is kept
-- Returns {1, generation, whether it is a probe, whether the state changed} or {0, state, when again, in how many ms}
local circuit, readable = fetch(KEYS[1])
if not readable then return unknown_version() end
if circuit.state == 'closed' then return {1, circuit.generation, 0, 0} end
local now, mark, permit = instant(ARGV[1]), ARGV[2], ARGV[3]
local other, placed
circuit, other = as_of(circuit, now, mark)
if circuit.state == 'half_open' then
  for _, lease in ipairs(circuit.leases) do placed = placed or lease[1] == permit end
  if not placed and places(circuit, tonumber(ARGV[4])) > 0 then
    circuit.leases[#circuit.leases + 1] = {permit, now + tonumber(ARGV[5])}
    placed, other = true, true
  end
end
if other then keep(KEYS[1], circuit, now, tonumber(ARGV[6])) end
if placed then return {1, circuit.generation, 1, circuit.by == mark and 1 or 0} end
local at, wait = again(circuit, now)
return {0, circuit.state, at, wait}
