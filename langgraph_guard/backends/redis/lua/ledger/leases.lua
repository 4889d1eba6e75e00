-- A page of the open reservations, those whose lease ends first at the beginning.
-- KEYS: meta, leases   ARGV: 1 epoch  2 now ("" the server's)  3 deadline that it begins with  4 how many to skip
--       5 how many
-- Returns {"leases", now, "owner … =id", deadline …}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local page = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
return {'leases', string.format('%.17g', moment(ARGV[2])), unpack(page)}
