-- A page of a tenant's owners, by name.
-- KEYS: meta, index   ARGV: 1 epoch  2 now ("" the server's)  3 the name that the page follows ("" none)
--       4 how many
-- Returns {"owners", name …}
local odd = strange(KEYS[1], ARGV[1])
if odd then return odd end
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
return {'owners', unpack(redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, ARGV[4]))}
