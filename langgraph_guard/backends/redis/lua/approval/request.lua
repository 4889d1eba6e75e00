-- Ask for an approval, or lay down that none is needed, or none given. What stands, stands.
-- KEYS: request, open requests, head of the chain, deeds
-- ARGV: 1 now ("" the server's)  2 its first state  3 seconds until it expires ("" never)
--       4 id  5 tenant  6 thread  7 ns  8 call  9 tool  10 arguments  11 digest  12 reason  13 requirement  14 by whom
-- Returns the request
local now = moment(ARGV[1])
local known, readable = approval_of(KEYS[1], now)
local last = end_of(KEYS[3], KEYS[4])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[2])
if known then
  if as_of(known, now) then expire(KEYS[1], KEYS[2], last, known, now) end
  return told(known, APPROVAL)
end
local asked = {
  v = '1', id = ARGV[4], tenant = ARGV[5], thread = ARGV[6], ns = ARGV[7], call_id = ARGV[8], tool = ARGV[9],
  args = ARGV[10], digest = ARGV[11], first_digest = ARGV[11], reason = ARGV[12], requirement = ARGV[13],
  requested_by = ARGV[14], at = precise(now), expires_at = ARGV[3] ~= '' and precise(now + ARGV[3]) or '',
  state = ARGV[2], votes = '', decided_by = '', decided_at = '', message = '', heard = '',
}
keep(KEYS[1], KEYS[2], asked, unpack(APPROVAL))
if asked.state == 'pending' then
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[2], 0, place(asked))
end
chain_approval(last, now, asked, asked.state == 'pending' and 'requested' or asked.state, asked.requested_by, '')
return told(asked, APPROVAL)
