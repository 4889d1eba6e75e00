-- A reservation is a string of lines: state, fingerprint, grants, "=turn number", then
--   held and expired   deadline, orphans, names of its owners, its charges as "owner field =period granted" …
--   held               also what was asked for, as people may read it
--   settled            what it cost, and by how much that was more than was held
local REMEMBERED_MS = 3600000

local function hold_of(text)
  local lines = {}
  for line in string.gmatch(text, '([^\n]*)\n') do lines[#lines + 1] = line end
  local hold = {state = lines[1], fingerprint = lines[2], grants = lines[3], turn = lines[4]}
  if hold.state == 'held' or hold.state == 'expired' then
    hold.deadline, hold.orphans, hold.names, hold.charges = tonumber(lines[5]), lines[6], lines[7], lines[8]
    hold.ends, hold.asked = lines[5], lines[9]
  elseif hold.state == 'settled' then
    hold.actual, hold.overrun = lines[5], lines[6]
  end
  return hold
end

local function lines_of(...) return table.concat({...}, '\n') .. '\n' end

-- How long a closed one is remembered.
local function remembered(hold, now) return exact(math.max(1000, (hold.deadline - now) * 1000 + REMEMBERED_MS)) end
