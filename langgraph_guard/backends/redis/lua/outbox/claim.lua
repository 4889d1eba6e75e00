-- Begin an execution, unless it was begun, or a request stands in the way.
-- KEYS: execution, head of the chain, deeds, executions that have not ended, the request that covers it if one does
-- ARGV: 1 now ("" the server's)  2 what deeds call it  3 digest  4 owner  5 lease  6 id of the request  7 "1": required
--       8 thread  9 call
-- Returns {"claimed", fence} | {"execution", what is known of it} | {"unapproved"} | {"unapproved", request}
local now = moment(ARGV[1])
local known, readable, lapsed = execution_of(KEYS[1], now)
local last = end_of(KEYS[2], KEYS[3])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[4])
local may_begin = not known or known.state == 'failed'
if may_begin then
  local approval
  if KEYS[5] then
    approval, readable = approval_of(KEYS[5], now)
    if not readable then return unknown_version() end
  end
  if not approval and ARGV[7] == '1' then return {'unapproved'} end
  if approval then
    as_of(approval, now)
    local covers = approval.thread == ARGV[8] and approval.call_id == ARGV[9] and approval.digest == ARGV[3]
    local may_run = approval.state == 'allowed' or approval.state == 'approved'
    if not (covers and may_run) then return {'unapproved', told(approval, APPROVAL)} end
  end
elseif known.state == 'started' and known.owner == ARGV[4] then
  return {'claimed', known.fence}
end
if not may_begin then
  if lapsed then
    keep_execution(KEYS[1], KEYS[4], known)
    chain_execution(last, now, known, 'in_doubt', ARGV[2], ARGV[3])
  end
  return {'execution', told(known, EXECUTION)}
end
local begun = {
  v = '1', state = 'started', owner = ARGV[4], fence = known and exact(known.fence + 1) or '1', at = precise(now),
  ends_at = precise(now + ARGV[5]), result = '', approval = ARGV[6],
}
keep_execution(KEYS[1], KEYS[4], begun)
redis.call('HSET', KEYS[1], 'thread', ARGV[8], 'call_id', ARGV[9], 'digest', ARGV[3])
chain_execution(last, now, begun, 'started', ARGV[2], ARGV[3])
return {'claimed', begun.fence}
