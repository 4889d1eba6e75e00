-- An account is a field of its owner: its last periods, newest last, each as "=period spent reserved credit".
local LARGEST = 9007199254740991
local KEPT_PERIODS = 3
local ONE = '^=(%S*) (%d+) (%d+) (%d+)$'
local format = string.format

local function parsed(text)
  local history = {}
  for id, spent, reserved, credit in string.gmatch(text, '=(%S*) (%d+) (%d+) (%d+)') do
    history[#history + 1] = {id, tonumber(spent), tonumber(reserved), tonumber(credit)}
  end
  return history
end

-- What is written of one period: spent, reserved, credit, and the whole history if there are other periods, too.
local function find(text, id)
  if not text then return 0, 0, 0 end
  local only, spent, reserved, credit = string.match(text, ONE)
  if only == id then return tonumber(spent), tonumber(reserved), tonumber(credit) end
  local history = parsed(text)
  for _, each in ipairs(history) do
    if each[1] == id then return each[2], each[3], each[4], history end
  end
  return 0, 0, 0, history
end

-- The account with new figures of that period. A new period comes last; those that are over and settled drop out.
local function put(history, id, spent, reserved, credit)
  if not history then return format('=%s %.0f %.0f %.0f', id, spent, reserved, credit) end
  local spare, words, known = #history + 1 - KEPT_PERIODS, {}, false
  for _, each in ipairs(history) do known = known or each[1] == id end
  for at, each in ipairs(history) do
    if each[1] == id then
      words[#words + 1] = format('=%s %.0f %.0f %.0f', id, spent, reserved, credit)
    elseif known or at > spare or each[3] > 0 then
      words[#words + 1] = format('=%s %.0f %.0f %.0f', each[1], each[2], each[3], each[4])
    end
  end
  if not known then words[#words + 1] = format('=%s %.0f %.0f %.0f', id, spent, reserved, credit) end
  return table.concat(words, ' ')
end
