-- What owners get when every charge of a reservation moves from held (or from charged, when it had expired) to what it
-- cost: a list of fields and values for each. Nothing is written yet. `keys`: those of its owners, in their order.
-- `cost(unit, granted)`. `lost`: the books do not have the reservation, so there is nothing to move from.
local function moved(hold, keys, cost, lost)
  local fields, words, read = {}, {}, {}
  for number, field in string.gmatch(hold.charges, '(%d+) (%S+) =%S* %d+') do
    number = tonumber(number)
    local its = fields[number]
    if its then its[#its + 1] = field else fields[number] = {field} end
  end
  for number, its in ipairs(fields) do
    words[number], read[number] = redis.call('HMGET', keys[number], unpack(its)), 0
  end
  local changes = {}
  for number, field, id, granted in string.gmatch(hold.charges, '(%d+) (%S+) =(%S*) (%d+)') do
    number, granted = tonumber(number), tonumber(granted)
    read[number] = read[number] + 1
    local text = words[number][read[number]]
    local spent, reserved, credit, history = find(text, id)
    local there = text and not history
    local newest = history and history[#history]
    for _, each in ipairs(history or {}) do there = there or each[1] == id end
    local paid = cost(string.match(field, ':(.*)$'), granted)
    if lost and not there then there = not newest or string.sub(field, 1, 5) == 'turn:' or newest[1] < id end
    if there then  -- Else nobody reads that period any more, and writing it would push out one that is read.
      local charged = 0
      if hold.state == 'expired' and hold.orphans == 'charge' then charged = granted end
      if hold.state == 'held' and not lost then reserved = math.max(0, reserved - granted) end
      spent = math.min(LARGEST, math.max(0, spent - charged + paid))
      local its = changes[number] or {}
      its[#its + 1], its[#its + 2] = field, put(history, id, spent, reserved, credit)
      changes[number] = its
    end
  end
  return changes
end

local function write(keys, changes)
  for number, its in pairs(changes) do redis.call('HSET', keys[number], unpack(its)) end
end
