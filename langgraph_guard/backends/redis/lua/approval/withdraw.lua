-- A run went on without its request: what is open or agreed to is neither any more.
-- KEYS: request, open requests, head of the chain, deeds
-- ARGV: 1 now ("" the server's)
-- Returns the request; false when nobody knows it
local now = moment(ARGV[1])
local approval, readable = approval_of(KEYS[1], now)
local last = end_of(KEYS[3], KEYS[4])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[2])
if not approval then return false end
if as_of(approval, now) then expire(KEYS[1], KEYS[2], last, approval, now) end
if has({'pending', 'allowed', 'approved'}, approval.state) then
  approval.state, approval.decided_by, approval.decided_at = 'withdrawn', '', precise(now)
  keep(KEYS[1], KEYS[2], approval, 'state', 'decided_by', 'decided_at')
  chain_approval(last, now, approval, 'withdrawn', '', '')
end
return told(approval, APPROVAL)
