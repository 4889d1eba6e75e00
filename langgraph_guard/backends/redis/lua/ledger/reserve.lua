-- Hold room on every account, or on none.
-- KEYS: meta, leases, hold, owner …, then for each tenant its index and its ends
-- ARGV: 1 epoch  2 now ("" the server's)  3 "=id"  4 fingerprint  5 lease  6 orphans  7 "=turn" ("" the open one)
--       8 number of the session's owner (0 none)  9 names of the owners  10 what is asked for  11 number of owners
--       then for each owner: its tenant's number, its name in the index, "1" when it ends with its run, how many fields,
--                            "turn", "till", "frozen", field …
--       then for each charge: its owner's number, which of its fields, window, amount, least, limit ("" none)
-- Returns {"granted", reservation} | {"conflict", state} | {"large", charge's number}
--       | {"denied", charge's number, spent, reserved, period, credit, frozen, retry after, turn, turn's number}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local now = moment(ARGV[2])
local known = redis.call('GET', KEYS[3])
if known then
  local hold = hold_of(known)
  if hold.fingerprint ~= ARGV[4] then return {'conflict', hold.state} end
  return {'granted', known}
end
local late = due(KEYS[2], now)
if late then return late end

local count, deadline = tonumber(ARGV[11]), now + tonumber(ARGV[5])
local first, found, at = {}, {}, 12
for number = 1, count do
  first[number] = at
  local last = at + 3 + tonumber(ARGV[at + 3])
  found[number] = redis.call('HMGET', KEYS[3 + number], unpack(ARGV, at + 4, last))
  at = last + 1
end

local turn, seq, session = '', '0', tonumber(ARGV[8])
if session > 0 and found[session][1] then turn, seq = string.match(found[session][1], '^=(%S*) (%S+)$') end
if ARGV[7] ~= '' and ARGV[7] ~= '=' .. turn then turn, seq = string.sub(ARGV[7], 2), '0' end

local denied, wait, large
local grants, charges, changes, needed, for_good = {}, {}, {}, {}, {}
local window, id, ends, length
for place = at, #ARGV, 6 do
  local name, amount, limit = ARGV[place], tonumber(ARGV[place + 3]), ARGV[place + 5]
  local owner, field = tonumber(name), tonumber(ARGV[place + 1])
  local its, charge = found[owner], #grants + 1
  if ARGV[place + 2] ~= window then
    window = ARGV[place + 2]
    id, ends, length = period(window, now, turn)
  end
  local spent, reserved, credit, history = find(its[field], id)
  local granted, frozen = amount, its[3] == '1'
  if limit ~= '' then granted = math.min(amount, limit - spent - reserved + credit) end
  if frozen or granted < tonumber(ARGV[place + 4]) then
    local later = not frozen and ends and ends - now or nil
    -- Of two denials, the one that waiting helps least.
    if not denied or (wait and (not later or later > wait)) then
      wait = later
      denied = {
        'denied', (place - at) / 6 + 1, exact(spent), exact(reserved), id, exact(credit), frozen and '1' or '',
        wait and string.format('%.17g', wait) or '', turn, seq,
      }
    end
  elseif spent + reserved + granted > LARGEST then
    large = large or (place - at) / 6 + 1
  end
  grants[charge] = exact(granted)
  if not denied and not large then
    local word = ARGV[first[owner] + 3 + field]
    charges[charge] = name .. ' ' .. word .. ' =' .. id .. ' ' .. grants[charge]
    local words = changes[owner]
    if not words then
      words = {}
      changes[owner] = words
    end
    words[#words + 1], words[#words + 2] = word, put(history, id, spent, reserved + granted, credit)
    if its[2] ~= '0' then
      local by = needed_by(ends, length, ARGV[first[owner] + 2] == '1', deadline)
      if by then needed[owner] = math.max(needed[owner] or 0, by) else for_good[owner] = true end
    end
  end
end
if large then return {'large', large} end
if denied then return denied end
local tills = {}
for owner = 1, count do
  if found[owner][2] ~= '0' then
    local home = 3 + count + 2 * tonumber(ARGV[first[owner]])
    local by = not for_good[owner] and needed[owner] or nil
    local till = new_till(found[owner][2], by, KEYS[home - 1], KEYS[home])
    local words = changes[owner]
    if till then words[#words + 1], words[#words + 2] = 'till', till end
    tills[owner] = till
  end
end

for owner = 1, count do redis.call('HSET', KEYS[3 + owner], unpack(changes[owner])) end
for owner, till in pairs(tills) do
  local home = 3 + count + 2 * tonumber(ARGV[first[owner]])
  stay(KEYS[3 + owner], till, KEYS[home - 1], KEYS[home], ARGV[first[owner] + 1], now)
end
ends = string.format('%.17g', deadline)
local hold = lines_of('held', ARGV[4], table.concat(grants, ' '), '=' .. turn .. ' ' .. seq, ends, ARGV[6], ARGV[9],
  table.concat(charges, ' '))
redis.call('SET', KEYS[3], hold .. ARGV[10] .. '\n')
redis.call('ZADD', KEYS[2], ends, ARGV[9] .. ' ' .. ARGV[3])
return {'granted', hold}
