-- The period of a window that holds a moment, by UTC: its id, its end in seconds since 1970 (nil: never), its length.
local LENGTHS = {minute = 60, hour = 3600, day = 86400}
local DAYS = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local function month_of(now)
  -- The civil date of a day by its number: years begin in March, so that the leap day is the last.
  local floor = math.floor
  local days = floor(floor(now) / 86400)
  local z = days + 719468
  local era = floor(z / 146097)
  local of_era = z - era * 146097
  local year_of_era = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
  local shifted = floor((5 * of_year + 2) / 153)
  local day = of_year - floor((153 * shifted + 2) / 5) + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  local leap = month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local length = DAYS[month] + (leap and 1 or 0)
  return string.format('%08.0f%04.0f', year, month), (days - day + 1 + length) * 86400, length * 86400
end

local function period(window, now, turn)
  if window == '' then return '' end
  if window == 'turn' then return turn end
  if window == 'month' then return month_of(now) end
  local length = LENGTHS[window]
  local number = math.floor(math.floor(now) / length)
  return string.format('%012.0f', number), (number + 1) * length, length
end
