-- Close a circuit and empty its window.
-- KEYS: circuit, records of what people did
-- ARGV: 1 now in ms ("": the server's)  2 mark of the command  3 by  4 reason  5 ms for which it is kept
-- Returns {state, generation}, and when it changed the state also {…, the state before, why, when again}
local circuit, readable = fetch(KEYS[1])
if not readable then return unknown_version() end
local now, mark = instant(ARGV[1]), ARGV[2]
if note(KEYS[2], now, mark, 'reset', ARGV[3], ARGV[4], circuit.state) then
  circuit = move(circuit, 'reset', now, mark, 0)
  keep(KEYS[1], circuit, now, tonumber(ARGV[5]))
end
return told(circuit, mark)
