-- A part of the chain of deeds, oldest first, and where all of it ends.
-- KEYS: head of the chain, deeds
-- ARGV: 1 number of the deed before the first  2 how many
-- Returns {number of the last of all, its hash, {deed …}}
local last = end_of(KEYS[1], KEYS[2])
if not last then return unknown_version() end
local before = last.number - redis.call('LLEN', KEYS[2])
local first = math.max(tonumber(ARGV[1]) - before, 0)
local found = redis.call('LRANGE', KEYS[2], exact(first), exact(first + ARGV[2] - 1))
return {exact(last.number), last.hash, found}
