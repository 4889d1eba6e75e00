-- Refuse every call until a reset.
-- KEYS: circuit, records of what people did
-- ARGV: 1 now in ms ("": the server's)  2 mark of the command  3 by  4 reason
-- Returns {state, generation}, and when it changed the state also {…, the state before, why, when again}
local circuit, readable = fetch(KEYS[1])
if not readable then return unknown_version() end
local now, mark = instant(ARGV[1]), ARGV[2]
if note(KEYS[2], now, mark, 'force_open', ARGV[3], ARGV[4], circuit.state) and circuit.state ~= 'forced_open' then
  circuit = move(circuit, 'forced_open', now, mark)
  keep(KEYS[1], circuit, now, 0)
end
return told(circuit, mark)
